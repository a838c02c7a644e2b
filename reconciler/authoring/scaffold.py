"""A first kubeserve.yaml for a folder: one deployment for each model whose files are found in it.

Called by `kubeserve init`. Writes only new files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from runtime.errors import RuntimeFault
from runtime.formats import HEAD_SIZE, infer_format
from specs.errors import KubeServeError
from specs.models.paths import is_skipped_folder
from specs.names import MAX_NAME

SPEC_NAME = "kubeserve.yaml"
TRAINING_NAME = "train.py"
EXAMPLE_MODEL = "models/iris-v1.joblib"
MAX_FILES = 50
MAX_DEPTH = 4

_NUMBERED = re.compile(r"(?P<name>.*?)[-_.]?v?(?P<number>\d+)")
_PLAIN = re.compile(r"(?!(?:yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9._/-]*", re.IGNORECASE)
_PREDICTOR = "predictor.py"


class ScaffoldError(KubeServeError):
    """A scaffold that would overwrite something, or can't be written."""

    code = "scaffold"


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its versions: name -> the file's path (POSIX) from the spec's folder."""

    name: str
    versions: dict[str, str]

    @property
    def newest(self) -> str:
        return max(self.versions, key=lambda version: int(version[1:]))


def write_scaffold(folder: Path, tenant: str) -> list[Path]:
    """Writes kubeserve.yaml, and where there is no model yet a script that trains one. Answers what was written."""
    models = find_models(folder)
    shown = models or [Model("iris", {"v1": EXAMPLE_MODEL})]
    written = {SPEC_NAME: _render("kubeserve.yaml.j2", tenant=tenant, models=shown)}
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


def find_models(folder: Path) -> list[Model]:
    """Files of a known format and folders with a predictor below the folder, at most MAX_FILES: `churn-v2.joblib` is
    version v2 of `churn`, a file without a number v1 of its name."""
    found: dict[str, dict[str, str]] = {}
    for number, path in enumerate(_artifacts(folder)):
        if number == MAX_FILES:
            break
        name, version = _name_and_version(path)
        if name:
            found.setdefault(name, {}).setdefault(version, path.relative_to(folder).as_posix())
    return [Model(name, versions) for name, versions in found.items()]


def _artifacts(folder: Path) -> Iterator[Path]:
    for current, folders, names in os.walk(folder):
        path = Path(current)
        if _PREDICTOR in names and path != folder:
            folders.clear()
            yield path
            continue
        depth = len(path.relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not is_skipped_folder(f)) if depth < MAX_DEPTH else []
        yield from (path / name for name in sorted(names) if _is_model(path / name))


def _is_model(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            infer_format(path.name, file.read(HEAD_SIZE))
    except (RuntimeFault, OSError):
        return False
    return True


def _name_and_version(path: Path) -> tuple[str, str]:
    """`Churn_Model-v1.joblib` becomes `churn-model`, `v1`."""
    stem = path.name.removesuffix(path.suffix).lower()
    numbered = _NUMBERED.fullmatch(stem)
    base = numbered["name"] if numbered and numbered["name"] else stem
    name = re.sub(r"[^a-z0-9]+", "-", base).strip("-")[:MAX_NAME].strip("-")
    return name, f"v{int(numbered['number'])}" if numbered else "v1"


def _as_yaml(text: str) -> str:
    """A string that YAML reads as this one, and as no number or boolean."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _render(template: str, **values: object) -> str:
    from jinja2 import Environment, StrictUndefined

    source = files("templates").joinpath("scaffold", template).read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - YAML
    environment.filters["yaml"] = _as_yaml
    return environment.from_string(source).render(**values)
