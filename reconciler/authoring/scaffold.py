"""A first kubeserve.yaml for a folder: one deployment for each model whose files are found in it.

`kubeserve init` writes it. Only new files are written.
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
from specs.names import MAX_NAME, quoted

SPEC_NAME = "kubeserve.yaml"
TRAINING_NAME = "train.py"
EXAMPLE_MODEL = "models/iris-v1.joblib"
MAX_FILES = 50
MAX_DEPTH = 4

# A version follows a separator: churn-v2, churn_2.0, churn-2024-01-05. Digits inside a word are the word's: resnet18.
_VERSIONED = re.compile(
    r"(?P<name>.*?)[-_. ]+(?P<version>\d{4}[-_.]\d{1,2}[-_.]\d{1,2}|\d+(?:\.\d+)*|v\d+(?:[-_.]\d+)*)"
)
_PLAIN = re.compile(r"(?!(?:yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9._/-]*", re.IGNORECASE)
_PREDICTOR = "predictor.py"


class ScaffoldError(KubeServeError):
    """A scaffold that would overwrite something, or can't be written."""

    code = "scaffold"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model and its versions: name -> the file's path (POSIX) from the spec's folder."""

    name: str
    versions: dict[str, str]

    @property
    def newest(self) -> str:
        return max(self.versions, key=lambda version: [int(number) for number in re.findall(r"\d+", version)])


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What was written, and one sentence for each file that looks like a model and was left out."""

    written: list[Path]
    left_out: list[str]


def write_scaffold(folder: Path, tenant: str) -> Scaffold:
    """Writes kubeserve.yaml, and where there is no model yet a script that trains one."""
    models, left_out = find_models(folder)
    shown = models or [FoundModel("iris", {"v1": EXAMPLE_MODEL})]
    texts = {SPEC_NAME: _render("kubeserve.yaml.j2", tenant=tenant, models=shown)}
    if not models:
        texts[TRAINING_NAME] = _render("train.py.j2", path=EXAMPLE_MODEL)
    if existing := [name for name in texts if (folder / name).exists()]:
        raise ScaffoldError("Not overwritten", f"{folder / existing[0]} exists already. Edit it, or remove it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x") as file:
                file.write(text)
    except OSError as error:
        raise ScaffoldError("Scaffold can't be written", f"{folder}: {error.strerror}.") from error
    return Scaffold([folder / name for name in texts], left_out)


def find_models(folder: Path) -> tuple[list[FoundModel], list[str]]:
    """Files of a known format and folders with a predictor below the folder, at most MAX_FILES, and why others were
    left out. `churn-v2.joblib` is version v2 of `churn`, a file without a version v1 of its name."""
    models: dict[str, dict[str, str]] = {}
    left_out: list[str] = []
    for number, artifact in enumerate(_artifacts(folder)):
        path = artifact.relative_to(folder).as_posix()
        if number == MAX_FILES:
            left_out.append(f"{quoted(path)} and what follows it were left out: at most {MAX_FILES} are written.")
            break
        name, version = _name_and_version(artifact)
        versions = models.setdefault(name, {}) if name else {}
        if not _is_utf8(path):
            left_out.append(f"{quoted(path)} was left out: its name is not UTF-8.")
        elif not name:
            left_out.append(f"{quoted(path)} was left out: no letter or digit of its name can name a model.")
        elif version in versions:
            left_out.append(
                f"{quoted(path)} was left out: its name would be {name}, version {version}, as that of "
                f"{quoted(versions[version])}."
            )
        else:
            versions[version] = path
    return [FoundModel(name, versions) for name, versions in models.items() if versions], left_out


def _is_utf8(text: str) -> bool:
    """Whether a name of a file has no bytes that YAML could not hold."""
    return text.isascii() or text.encode(errors="replace").decode() == text


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
    """`Churn_Model-v1.joblib` becomes `churn-model`, `v1`; `fraud-2.0.joblib` becomes `fraud`, `v2.0`."""
    stem = path.name.removesuffix(path.suffix).lower()
    versioned = _VERSIONED.fullmatch(stem)
    base = versioned["name"] if versioned and re.search(r"[a-z]", versioned["name"]) else stem
    name = re.sub(r"[^a-z0-9]+", "-", base).strip("-")[:MAX_NAME].strip("-")
    if versioned is None or base == stem:
        return name, "v1"
    return name, "v" + versioned["version"].removeprefix("v").replace("_", "-")


def _as_yaml(text: str) -> str:
    """A string that YAML reads as this one, and as no number or boolean."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _render(template: str, **values: object) -> str:
    from jinja2 import Environment, StrictUndefined

    source = files("templates").joinpath("scaffold", template).read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - YAML
    environment.filters["yaml"] = _as_yaml
    return environment.from_string(source).render(**values)
