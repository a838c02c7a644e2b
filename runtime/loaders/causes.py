"""Why a model could not be loaded, in words that say how to fix it. `load` uses it for the errors of libraries."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec

from runtime.errors import ModelError
from runtime.formats import Format
from runtime.loaders.names import OWN_PACKAGE, is_own

_PACKAGES = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "xgboost": "xgboost-cpu",
}
_PICKLED = (Format.JOBLIB, Format.PICKLE)
_MAX_QUOTE = 500
_MISSING_ATTRIBUTE = re.compile(
    r"Can't get attribute '(?P<attribute>[^']+)' on <module '(?P<module>[^']+)'"
    r"|^module '(?P<older_module>[^']+)' has no attribute '(?P<older_attribute>[^']+)'"  # pickle protocols up to 3
)


def explained(error: BaseException, filename: str, model_format: Format) -> ModelError:
    """A ModelError that quotes what a library raised while it loaded a file."""
    quote = f"{type(error).__name__}: {error}"[:_MAX_QUOTE].rstrip()
    advice = _advice(error, model_format)
    return ModelError("The model can't be loaded", f"{filename} ({model_format}): {quote}{advice and '. ' + advice}")


def _advice(error: BaseException, model_format: Format) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name)
    if (
        isinstance(error, AttributeError)
        and model_format in _PICKLED
        and (missing := _MISSING_ATTRIBUTE.search(str(error)))
    ):
        return _missing_attribute(
            missing["attribute"] or missing["older_attribute"], missing["module"] or missing["older_module"]
        )
    if isinstance(error, EOFError):
        return "The file ends too early; save and upload it again"
    if isinstance(error, SystemExit):
        return "Code of the model ended the process"
    return _other_version(model_format)


def _missing_module(name: str) -> str:
    if is_own(name):
        return (
            f"The name '{OWN_PACKAGE}' is taken by the server, so the model can't have a module of that name: rename "
            "the module or package, and save the model again"
        )
    top = name.partition(".")[0]
    if top == name or find_spec(top) is None:
        return f"Add {_PACKAGES.get(top, top)} to the version's requirements"
    return (
        f"The installed {_PACKAGES.get(top, top)}{_version(top)} has no '{name}'; the model was probably saved "
        "with another version: pin that one in the version's requirements"
    )


def _missing_attribute(attribute: str, module: str) -> str:
    if module == "__main__":
        return (
            f"'{attribute}' was defined in the script that trained the model and is not part of the file: put it "
            "into a package that the requirements name, or serve a folder with predictor.py"
        )
    return f"The installed '{module}' has no '{attribute}': pin the version that the model was saved with"


def _other_version(model_format: Format) -> str:
    if model_format in _PICKLED:
        return "If it loads where it was trained, pin the library versions used there in its requirements"
    return ""


def _version(module: str) -> str:
    version = getattr(sys.modules.get(module), "__version__", "")
    return f" {version}" if version else ""
