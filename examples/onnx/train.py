"""Trains a forest, converts it to ONNX and verifies that both answer alike. Needs skl2onnx and onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

MODEL = Path(__file__).parent / "models" / "wine-v1.onnx"


def main() -> None:
    wine = load_wine()
    rows = wine.data.astype(np.float32)
    forest = RandomForestClassifier(40, max_depth=6, random_state=7).fit(rows, wine.target)
    converted = to_onnx(forest, rows[:1], options={"zipmap": False}).SerializeToString()
    verify(converted, forest, rows)
    MODEL.write_bytes(converted)
    print(f"{MODEL.name}: accuracy {forest.score(rows, wine.target):.3f}, {MODEL.stat().st_size} bytes")


def verify(converted: bytes, forest: RandomForestClassifier, rows: np.ndarray) -> None:
    """ONNX computes in float32: compare on samples before anybody relies on it."""
    session = onnxruntime.InferenceSession(converted)
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: rows})
    np.testing.assert_array_equal(labels, forest.predict(rows))
    np.testing.assert_allclose(probabilities, forest.predict_proba(rows), atol=1e-5)


if __name__ == "__main__":
    main()
