"""What one runtime serves and how. `cli.py` builds it from options and environment; everything else reads it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import SettingsError
from runtime.formats import Format
from runtime.paths import path_prefixes

DEFAULT_TOLERANCE = 1e-6
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_CPU_COUNT_VARIABLE = "LOKY_MAX_CPU_COUNT"  # joblib's, which scikit-learn's n_jobs=-1 goes by


@dataclass(frozen=True, slots=True)
class Identity:
    """Names from the spec of what is served; all empty when the runtime was started alone."""

    tenant: str = ""
    deployment: str = ""
    model: str = ""
    version: str = ""
    variant: str = ""
    replica: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A request that the model has to answer before it is ready. `outputs` None: any valid answer passes."""

    inputs: Sequence[Any]
    outputs: Sequence[Any] | None
    tolerance: float


@dataclass(frozen=True, slots=True)
class Limits:
    request_seconds: (
        float  # for reading a request's body, and again for the answer, which includes waiting for a thread
    )
    head_seconds: float  # for a request's head
    body_bytes: int  # of one request
    values: int  # JSON values of one request
    waiting_bytes: int  # bodies of all requests that are being received, wait or are being answered
    concurrency: int  # predictions at once, each in a thread
    queue: int  # requests that may wait beyond those


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    artifact: Path
    digest: str | None  # "sha256:…"; None: whatever the manifest says
    model_format: Format | None  # None: by name and first bytes
    identity: Identity
    prefixes: tuple[str, ...]
    checks: tuple[Check, ...]
    limits: Limits
    threads: int
    grace_seconds: float
    linger_seconds: float


def prefixes_of(text: str | None, identity: Identity) -> tuple[str, ...]:
    """Comma-separated path prefixes; None: those of the platform's routes, if tenant and deployment are known.
    SettingsError for what is no plain path."""
    if text is None:
        return path_prefixes(identity.tenant, identity.deployment) if identity.tenant and identity.deployment else ()
    prefixes = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip(" /"))
    for prefix in prefixes:
        if not _PREFIX.fullmatch(prefix):
            raise SettingsError("Bad path prefix", f"'{prefix}' is no path like /fraud/churn.")
    return prefixes


def checks_of(text: str | None) -> tuple[Check, ...]:
    """Checks as JSON, or a file that holds it: [{"inputs": [[…]], "outputs": […], "tolerance": 1e-6}, …]."""
    if text is None or not text.strip():
        return ()
    try:
        content = text if text.lstrip().startswith("[") else Path(text).read_text()
        return tuple(_check(document) for document in json.loads(content))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SettingsError("Bad checks", f"They are no list of checks: {type(error).__name__}: {error}") from error


def apply_threads(threads: int | None) -> int:
    """Sets how many threads the libraries use, before they are imported; variables that are set already win. Returns
    the number for one prediction. `threads` None: OMP_NUM_THREADS, else the CPUs that this process may use."""
    if threads is None:
        said = os.environ.get("OMP_NUM_THREADS", "")
        return int(said) if said.isdecimal() and int(said) else _usable_cpus()
    for name in (*_THREAD_VARIABLES, _CPU_COUNT_VARIABLE):
        os.environ.setdefault(name, str(threads))
    return threads


def _check(document: Mapping[str, Any]) -> Check:
    inputs, outputs = document["inputs"], document.get("outputs")
    tolerance = float(document.get("tolerance", DEFAULT_TOLERANCE))
    if not isinstance(inputs, list) or not isinstance(outputs, list | None) or not inputs:
        raise ValueError("inputs and outputs are lists")
    if outputs is not None and len(outputs) != len(inputs):
        raise ValueError(f"{len(inputs)} inputs have {len(outputs)} outputs")
    if not math.isfinite(tolerance) or tolerance < 0:
        raise ValueError(f"tolerance {tolerance}")
    return Check(inputs, outputs, tolerance)


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
