"""Predictors for real model servers: what each does is its name."""

ANSWERS = """
    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            return ["{answer}" for _ in inputs]
"""
TALKS = """
    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            print("asked for", inputs[0][0], flush=True)
            return ["talks" for _ in inputs]
"""
RAISES = """
    class Predictor:
        def __init__(self, path):
            raise RuntimeError("the weights are missing")

        def predict(self, inputs):
            return inputs
"""
WORKS = """
    import time

    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            end = time.thread_time() + 0.1
            while time.thread_time() < end:
                pass
            return inputs
"""
