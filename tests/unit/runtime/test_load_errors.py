"""A model that can't be loaded says what is wrong with it and how to fix it."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest

from runtime.errors import ModelError
from runtime.formats import Format
from runtime.loaders import load
from runtime.loaders.causes import explained
from tests.support.runtime import models


def global_pickle(module: str, name: str) -> bytes:
    """A pickle that refers to `module.name`, whether or not that exists."""
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n."


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (global_pickle("catboost", "CatBoost"), "Add catboost to the version's requirements"),
        (global_pickle("cv2.ml", "SVM"), "Add opencv-python-headless to the version's requirements"),
        (global_pickle("sklearn.gone.away", "Tree"), r"The installed scikit-learn [\d.]+ has no 'sklearn.gone'"),
        (global_pickle("__main__", "MyModel"), "'MyModel' was defined in the script that trained the model"),
        (global_pickle("__main__", "Outer.Inner"), "'Outer.*' was defined in the script that trained the model"),
        (global_pickle("runtime", "Model"), "The name 'runtime' is taken by the server"),
        (global_pickle("runtime.features", "Model"), "The name 'runtime' is taken by the server"),
        (global_pickle("runtime.errors", "ModelError"), "The name 'runtime' is taken by the server"),
        (global_pickle("collections", "Gone"), "The installed 'collections' has no 'Gone': pin the version"),
        (pickle.dumps([1, 2, 3])[:-1], "ends too early|truncated"),
        (b"\x80\x04garbage", "If it loads where it was trained, pin the library versions"),
    ],
)
def test_a_pickle_that_fails_quotes_the_cause_and_says_how_to_fix_it(
    tmp_path: Path, content: bytes, advice: str
) -> None:
    import sklearn  # noqa: F401 - its version is known once it is imported

    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=advice) as caught:
        load(path, Format.PICKLE)
    assert "model.pkl (pickle): " in caught.value.detail


def test_a_library_that_is_not_installed_is_named_by_its_package() -> None:
    error = explained(ModuleNotFoundError("No module named 'xgboost'", name="xgboost"), "m.ubj", Format.XGBOOST)
    assert "Add xgboost-cpu to the version's requirements" in error.detail


@pytest.mark.parametrize(
    "model_format", [Format.JOBLIB, Format.SKOPS, Format.ONNX, Format.XGBOOST, Format.LIGHTGBM], ids=str
)
def test_garbage_in_any_format_is_a_model_error(
    tmp_path: Path, model_format: Format, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x80\x04 garbage \x00\x01" * 100)
    with pytest.raises(ModelError, match="can't be loaded"):
        load(path, model_format)


def test_an_object_without_predict_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds a dict, which has no predict\(\)"):
        load(models.write_pickle(tmp_path / "m.pkl", {"model": 1}), Format.PICKLE)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1", "has to define a class Predictor"),
        ("class Predictor: ...", "has to define a class Predictor with a method predict"),
        ("import not_there_at_all", "Add not_there_at_all to the version's requirements"),
        ("class Predictor(:", "SyntaxError"),
        ("raise SystemExit(3)", "Code of the model ended the process"),
        (
            "class Predictor:\n def __init__(self, path): open(path / 'absent')\n def predict(self, inputs): ...",
            "FileNotFoundError: .*absent",
        ),
    ],
)
def test_a_predictor_that_is_none_says_why(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(models.write_python_predictor(tmp_path / "p", body), Format.PYTHON)


def test_a_folder_without_a_predictor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no predictor\.py"):
        load(tmp_path, Format.PYTHON)


@pytest.mark.parametrize("model_format", [Format.JOBLIB, Format.PICKLE], ids=str)
@pytest.mark.parametrize("name", ["main", "Clip"])
def test_a_name_of_the_notebook_is_never_mistaken_for_one_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_format: Format, name: str
) -> None:
    server = ModuleType("runtime.__main__", "as `python -m runtime` calls the main module")
    vars(server).update(main=print, Clip=print)
    monkeypatch.setitem(sys.modules, "__main__", server)
    path = tmp_path / "model"
    path.write_bytes(global_pickle("__main__", name))
    with pytest.raises(ModelError, match=f"'{name}' was defined in the script that trained the model"):
        load(path, model_format)
    assert sys.modules["__main__"] is server


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"runtime/__init__.py": "", "runtime/features.py": ""}, "runtime/"),
        ({"runtime/deep/features.py": ""}, "runtime/"),
        ({"runtime.py": "one = 1"}, r"runtime\.py"),
    ],
    ids=["package", "namespace", "module"],
)
def test_a_module_beside_the_predictor_can_not_have_the_servers_name(
    tmp_path: Path, files: dict[str, str], taken: str
) -> None:
    with pytest.raises(ModelError, match=f"The name 'runtime' is taken by the server, so {taken} can't be imported"):
        load(models.write_python_predictor(tmp_path / "p", files=files), Format.PYTHON)


def test_a_folder_of_data_may_be_called_runtime(tmp_path: Path) -> None:
    folder = models.write_python_predictor(tmp_path / "p", files={"runtime/words.txt": "one"})
    assert load(folder, Format.PYTHON).predict(["x"]) == ["x"]


def test_a_predictor_does_not_get_the_servers_modules(tmp_path: Path) -> None:
    body = "from runtime import errors\nclass Predictor:\n def predict(self, inputs): ..."
    with pytest.raises(ModelError, match="The name 'runtime' is taken by the server"):
        load(models.write_python_predictor(tmp_path / "p", body), Format.PYTHON)
