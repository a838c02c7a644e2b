"""Trains the model of this example, the same every time: which iris is it, by four lengths in centimetres?"""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = Path(__file__).parent / "models" / "iris-v1.joblib"


def main() -> None:
    iris = load_iris()
    names = iris.target_names[iris.target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracy = cross_val_score(model, iris.data, names).mean()
    joblib.dump(model.fit(iris.data, names), MODEL)
    print(f"{MODEL.name}: accuracy {accuracy:.3f}, {MODEL.stat().st_size} bytes")


if __name__ == "__main__":
    main()
