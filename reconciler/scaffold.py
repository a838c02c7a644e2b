"""A first kubeserve.yaml for a folder: one deployment for each model file that is found in it.

Called by `kubeserve init`. Writes only new files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from runtime.errors import RuntimeFault
from runtime.formats import HEAD_SIZE, infer_format
from specs.errors import KubeServeError
from specs.names import MAX_NAME
from specs.paths import is_skipped_folder

SPEC_NAME = "kubeserve.yaml"
TRAINING_NAME = "train.py"
EXAMPLE_MODEL = "models/iris-v1.joblib"
MAX_MODELS = 20
MAX_DEPTH = 4
_VERSION_SUFFIX = re.compile(r"[-_.]?v?\d+$")


class ScaffoldError(KubeServeError):
    """A scaffold that would overwrite something, or can't be written."""

    code = "scaffold"


@dataclass(frozen=True, slots=True)
class ModelFile:
    name: str
    path: str  # POSIX, from the folder of the spec


def write_scaffold(folder: Path, tenant: str) -> list[Path]:
    """Writes kubeserve.yaml, and where there is no model yet a script that trains one. Answers what was written."""
    models = find_models(folder)
    written = {
        SPEC_NAME: _render("kubeserve.yaml.j2", tenant=tenant, models=models or [ModelFile("iris", EXAMPLE_MODEL)])
    }
    if not models:
        written[TRAINING_NAME] = _render("train.py.j2", path=EXAMPLE_MODEL)
    there = [name for name in written if (folder / name).exists()]
    if there:
        raise ScaffoldError("Not overwritten", f"{folder / there[0]} is there already. Edit it, or remove it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in written.items():
            with (folder / name).open("x") as file:
                file.write(text)
    except OSError as error:
        raise ScaffoldError("Scaffold can't be written", f"{folder}: {error.strerror}.") from error
    return [folder / name for name in written]


def find_models(folder: Path) -> list[ModelFile]:
    """Files of a known model format below the folder, each under a name of its own; at most MAX_MODELS."""
    found: dict[str, ModelFile] = {}
    for path in _files(folder):
        name = _name(path.stem)
        if name and name not in found and _is_model(path):
            found[name] = ModelFile(name, path.relative_to(folder).as_posix())
        if len(found) == MAX_MODELS:
            break
    return list(found.values())


def _files(folder: Path) -> Iterator[Path]:
    for current, folders, names in os.walk(folder):
        depth = len(Path(current).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not is_skipped_folder(f)) if depth < MAX_DEPTH else []
        yield from (Path(current) / name for name in sorted(names))


def _is_model(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            infer_format(path.name, file.read(HEAD_SIZE))
    except (RuntimeFault, OSError):
        return False
    return True


def _name(stem: str) -> str:
    """A deployment's name out of a file's: `Churn_Model-v1` becomes `churn-model`."""
    base = _VERSION_SUFFIX.sub("", stem.lower()) or stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", base).strip("-")[:MAX_NAME].strip("-")


def _render(template: str, **values: object) -> str:
    from jinja2 import Environment, StrictUndefined

    source = files("templates").joinpath("scaffold", template).read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - YAML
    return environment.from_string(source).render(**values)
