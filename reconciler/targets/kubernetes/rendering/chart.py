"""Where KubeServe's own chart is, and what pins a chart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from reconciler.targets.kubernetes.rendering.errors import RenderError

CHART = "model-serving"


def own_chart() -> Path:
    """The folder templates/model-serving, as it is installed."""
    return Path(str(files("templates").joinpath(CHART)))


def chart_digest(chart: Path) -> bytes:
    """Of every file of a chart's folder by name and content, or of its packed file. RenderError for what is neither."""
    digest = hashlib.sha256()
    try:
        if chart.is_file():
            return hashlib.sha256(chart.read_bytes()).digest()
        if not (chart / "Chart.yaml").is_file():
            raise RenderError(
                "There is no chart", f"{chart} is neither a folder with Chart.yaml nor a packed chart of Helm."
            )
        for file in sorted(_files(chart)):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(chart).as_posix()}\0{content}\0".encode())
    except OSError as error:
        raise RenderError("The chart can't be read", f"{error.filename or chart}: {error.strerror}.") from error
    return digest.digest()


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield Path(where) / name
