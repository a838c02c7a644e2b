"""The helm program: found once, asked for its version, run without network, cluster or the user's own settings.

Called by `batch.py` when something has to be rendered, and by `kubeserve doctor`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.rendering.errors import HelmMissing, RenderError
from specs.untrusted import Untrusted

VARIABLE = "KUBESERVE_HELM"
MIN_VERSION = (3, 14)
VERSION_SECONDS = 30.0
CALL_SECONDS = 30.0
ENTRY_SECONDS = 0.05  # more for each entry of a batch
MAX_MESSAGE = 2_000

_HOW_TO_GET_IT = (
    "Rendering for Kubernetes runs the `helm` program, 3.14 or later. Install it (https://helm.sh/docs/intro/install), "
    f"and put it on the PATH or name it in {VARIABLE}."
)
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_ERROR = re.compile("^Error: ", re.MULTILINE)  # warnings of the log come before
_TEMPLATE = re.compile(r"[\w.-]+(?:/charts/[\w.-]+)*/templates/[\w./-]+\.(?:ya?ml|tpl|txt)(?::\d+(?::\d+)?)?")
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON takes as it is, and YAML 1.1, as which helm reads values, refuses or takes for the end of a line."""


@dataclass(frozen=True, slots=True)
class Helm:
    path: str
    version: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class HelmCall:
    """One rendering. `batch`: entries that go beside the values, as the text of one of them."""

    chart: Path
    release: str
    namespace: str
    values: Mapping[str, JSON]
    batch: Mapping[str, JSON] | None = None
    entries: int = 1


def find_helm() -> Helm:
    """What KUBESERVE_HELM names, else what is on the PATH. HelmMissing where there is none, or one that is too old."""
    named = os.environ.get(VARIABLE)
    path = shutil.which(named or "helm")
    if path is None:
        where = f"{VARIABLE} names {named}, which can't be run." if named else "There is no `helm` on the PATH."
        raise HelmMissing("Helm was not found", f"{where} {_HOW_TO_GET_IT}")
    found = Path(path).absolute()
    status = found.stat()
    return _asked(str(found), status.st_mtime_ns, status.st_size)


def template(helm: Helm, call: HelmCall) -> str:
    """What the chart makes of the values: YAML documents, each with its `# Source:`. RenderError names the template."""
    with tempfile.TemporaryDirectory(prefix="kubeserve-helm-") as home:
        values = Path(home) / "values.yaml"
        values.write_text(_as_yaml(call.values), encoding="utf-8")
        command = [helm.path, "template", call.release, str(call.chart), "--namespace", call.namespace]
        command += ["--skip-tests", "--values", str(values)]
        if call.batch is not None:
            batch = Path(home) / "batch.json"
            batch.write_bytes(orjson.dumps(call.batch))
            command += ["--set-file", f"batch={batch}"]
        return _run(command, home, CALL_SECONDS + ENTRY_SECONDS * call.entries)


@lru_cache(maxsize=8)
def _asked(path: str, modified: int, size: int) -> Helm:
    del modified, size  # another program at the same path is asked again
    with tempfile.TemporaryDirectory(prefix="kubeserve-helm-") as home:
        try:
            answer = _run([path, "version", "--short"], home, VERSION_SECONDS)
        except RenderError as error:
            raise HelmMissing("Helm can't be run", f"{path}: {error.detail} {_HOW_TO_GET_IT}") from error
    match = _VERSION.search(answer)
    if match is None:
        raise HelmMissing("Helm can't be run", f"{path} does not report its version. {_HOW_TO_GET_IT}")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version < MIN_VERSION:
        raise HelmMissing("Helm is too old", f"{path} is Helm {'.'.join(map(str, version))}. {_HOW_TO_GET_IT}")
    return Helm(path, version)


def _run(command: list[str], home: str, seconds: float) -> str:
    try:
        done = subprocess.run(
            command,
            env=_environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RenderError("Helm took too long", f"It was stopped after {seconds:g} s.") from None
    except OSError as error:
        raise RenderError("Helm can't be run", f"{command[0]}: {error.strerror}.") from error
    if done.returncode:
        raise _error(done.stderr.decode(errors="replace"))
    return done.stdout.decode()


def _environment(home: str) -> dict[str, str]:
    """Nothing of the user's: no cluster, plugins, repositories, registries or proxies."""
    names = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME", "TMPDIR")
    return {
        **dict.fromkeys(names, home),
        "KUBECONFIG": os.devnull,
        "PATH": os.defpath,
        "GOGC": "400",  # a short life with garbage, rather than a sixth more CPU
    }


def _error(said: str) -> RenderError:
    message = _ERROR.split(said, maxsplit=1)[-1].replace("Use --debug flag to render out invalid YAML", "").strip()
    found = _TEMPLATE.search(message)
    where = f"{found[0]}: " if found else ""
    return RenderError(
        "The chart can't be rendered",
        where + (str(Untrusted(message).cut(MAX_MESSAGE)) or "helm failed and said nothing."),
    )


def _as_yaml(values: Mapping[str, JSON]) -> str:
    """JSON that is YAML too."""
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", orjson.dumps(values).decode())
