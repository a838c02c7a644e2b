"""Every format loads into the same small interface and answers as its library does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.errors import InputError, ModelError
from runtime.formats import Format
from runtime.loaders import load
from tests.support.runtime import models
from tests.support.runtime.models import LABELS, ROWS

X = np.array(ROWS)


def regression() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(ROWS, [0.0, 0.5, 2.5, 3.0])


def texts() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good", "bad"], ["yes", "no"])


@pytest.mark.parametrize(
    ("name", "model_format", "train"),
    [
        ("m.joblib", Format.JOBLIB, models.train_logistic),
        ("m.pkl", Format.PICKLE, lambda path: models.write_pickle(path, models.logistic_regression())),
        ("m.skops", Format.SKOPS, models.train_skops),
        ("m.onnx", Format.ONNX, models.train_onnx),
        ("m.ubj", Format.XGBOOST, models.train_xgboost),
        ("m.json", Format.XGBOOST, models.train_xgboost),
    ],
)
def test_a_classifier_answers_labels(
    tmp_path: Path, name: str, model_format: Format, train: Callable[[Path], Path]
) -> None:
    predictor = load(train(tmp_path / name), model_format)
    assert list(predictor.predict(X)) == LABELS
    assert predictor.n_features == 3
    assert predictor.numeric


@pytest.mark.parametrize("name", ["model.xgboost", "m.json", "m.ubj"])
def test_a_plain_booster_answers_probabilities(tmp_path: Path, name: str) -> None:
    saved = models.train_xgboost(tmp_path / ("m.json" if name == "m.json" else "m.ubj"), classifier=False)
    predictor = load(saved.rename(tmp_path / name), Format.XGBOOST)
    assert [round(float(p)) for p in predictor.predict(X)] == LABELS
    assert predictor.n_features == 3


def test_a_booster_with_named_features_takes_rows_in_their_order(tmp_path: Path) -> None:
    import xgboost

    data = xgboost.DMatrix(X, label=np.array(LABELS), feature_names=["a", "b", "c"])
    xgboost.train({"objective": "binary:logistic", "min_child_weight": 0}, data, 5).save_model(tmp_path / "m.ubj")
    assert [round(float(p)) for p in load(tmp_path / "m.ubj", Format.XGBOOST).predict(X)] == LABELS


def test_lightgbm_answers_probabilities(tmp_path: Path) -> None:
    predictor = load(models.train_lightgbm(tmp_path / "model.lightgbm"), Format.LIGHTGBM)
    assert [round(float(p)) for p in predictor.predict(X)] == LABELS
    assert predictor.n_features == 3


def test_a_lightgbm_model_with_windows_line_endings_answers_the_same(tmp_path: Path) -> None:
    unix, windows = models.train_lightgbm(tmp_path / "unix"), tmp_path / "windows"
    windows.write_bytes(unix.read_bytes().replace(b"\n", b"\r\n"))
    answers = [list(load(path, Format.LIGHTGBM).predict(models.ROWS)) for path in (unix, windows)]
    assert answers[0] == answers[1]


def test_a_python_predictor_gets_its_folder_and_the_inputs_as_they_came(tmp_path: Path) -> None:
    body = """
        import scoring_rules

        class Predictor:
            def __init__(self, path):
                self.words = (path / "words.txt").read_text().split()

            def predict(self, inputs):
                return scoring_rules.score(inputs, self.words)
    """
    rules = "def score(inputs, words): return [sum(w in text for w in words) for text in inputs]"
    folder = models.write_python_predictor(tmp_path / "p", body, {"words.txt": "a b", "scoring_rules.py": rules})
    predictor = load(folder, Format.PYTHON)
    assert predictor.predict(["a", "ab", "c"]) == [1, 2, 0]
    assert not predictor.numeric
    assert sorted(path.name for path in folder.iterdir()) == ["predictor.py", "scoring_rules.py", "words.txt"]


def test_a_value_error_of_a_python_predictor_is_about_its_inputs(tmp_path: Path) -> None:
    body = "class Predictor:\n def __init__(self, path): ...\n def predict(self, inputs): raise ValueError('no text')"
    with pytest.raises(InputError, match="no text"):
        load(models.write_python_predictor(tmp_path / "p", body), Format.PYTHON).predict([1])


def test_a_text_pipeline_gets_texts(tmp_path: Path) -> None:
    predictor = load(models.write_pickle(tmp_path / "m.pkl", texts()), Format.PICKLE)
    assert list(predictor.predict(["good", "bad bad"])) == ["yes", "no"]
    assert not predictor.numeric


class Doubling:
    """A class of a user's, which does not say how many features it takes."""

    def predict(self, rows: Any) -> Any:
        return rows.sum(axis=1) * 2


def test_a_users_own_class_gets_an_array_when_the_inputs_are_one() -> None:
    from runtime.loaders.estimator import Estimator

    assert list(Estimator(Doubling()).predict([[1, 2], [3, 4]])) == [6.0, 14.0]


def test_a_forest_in_skops_is_trusted(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(3, random_state=0).fit(ROWS, LABELS)
    predictor = load(models.train_skops(tmp_path / "m.skops", forest), Format.SKOPS)
    assert list(predictor.predict(X)) == list(forest.predict(ROWS))


def test_a_type_of_another_library_in_skops_is_refused_by_name(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    evil = FunctionTransformer(models.train_logistic)
    with pytest.raises(ModelError, match=r"not trusted: .*tests\.support\.runtime\.models\.train_logistic"):
        load(models.train_skops(tmp_path / "m.skops", evil), Format.SKOPS)


def test_a_regression_in_onnx_answers_one_number_a_row(tmp_path: Path) -> None:
    predictor = load(models.train_onnx(tmp_path / "m.onnx", regression()), Format.ONNX, threads=2)
    answer = predictor.predict(X)
    assert answer.shape == (4,)
    assert np.allclose(answer, regression().predict(ROWS), atol=1e-5)


def test_onnx_with_whole_numbers_wants_whole_numbers(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import Int64TensorType

    converted = to_onnx(regression(), initial_types=[("x", Int64TensorType([None, 3]))])
    (tmp_path / "m.onnx").write_bytes(converted.SerializeToString())
    predictor = load(tmp_path / "m.onnx", Format.ONNX)
    assert predictor.predict(np.ones((2, 3))).shape == (2,)
    with pytest.raises(InputError, match="whole numbers"):
        predictor.predict(np.full((1, 3), 0.5))


def test_onnx_of_another_rank_checks_its_shape(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2, 2])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2, 2])
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "images", [given], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    predictor = load(tmp_path / "m.onnx", Format.ONNX)
    assert predictor.predict([[[-1, 2], [3, -4]]]).tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(InputError, match=r"takes inputs of shape \[any, 2, 2\]; these have \[1, 3\]"):
        predictor.predict([[1, 2, 3]])
    with pytest.raises(InputError, match="not an array of float32"):
        predictor.predict([[["a", 1], [1, 1]]])


def test_onnx_with_several_inputs_says_how_to_export_it(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("a", "b")]
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "sum", given, [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="Export it with a single tensor"):
        load(tmp_path / "m.onnx", Format.ONNX)


def test_every_model_says_what_it_is(tmp_path: Path) -> None:
    import sklearn

    info = load(models.train_logistic(tmp_path / "m.joblib"), Format.JOBLIB).info
    assert (info.kind, info.library, info.version) == ("LogisticRegression", "scikit-learn", sklearn.__version__)
