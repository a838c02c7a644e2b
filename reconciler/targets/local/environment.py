"""The environment of a model's process: a few of the operator's variables, those of the spec, and its secrets.

Nothing else passes, because the operator's shell may hold cloud keys and Git tokens that a tenant must not get.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.model.resources import DesiredVariant, SecretRef
from reconciler.targets.protocol import TargetError

_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_INSTALLING = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "NETRC"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_CONFIG_FILE"),
    *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TIMEOUT", "PIP_RETRIES", "PIP_CACHE_DIR", "PIP_CONSTRAINT"),
    *("PIP_ONLY_BINARY", "PIP_NO_BINARY", "PIP_PREFER_BINARY", "PIP_NO_CACHE_DIR"),
)
_THREAD_COUNTS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "KUBESERVE_THREADS"),
)


def base_environment() -> dict[str, str]:
    """The operator's variables that every process of ours gets."""
    return _taken(_PASSED)


def installer_environment() -> dict[str, str]:
    """The operator's variables that pip gets, also to reach an index. Packages may run code while they are built."""
    return _taken((*_PASSED, *_INSTALLING))


def variant_environment(variant: DesiredVariant, secrets_dir: Path) -> dict[str, str]:
    """The variables that the spec and its secrets set for a variant's process. TargetError: a secret can't be read."""
    threads = thread_count(variant.cpu_millicores)
    return {
        **base_environment(),
        **dict.fromkeys(_THREAD_COUNTS, str(threads)),
        **{name: _value(value, secrets_dir) for name, value in variant.env.items()},
    }


def thread_count(cpu_millicores: int) -> int:
    """The number of threads for a CPU request: a fraction of a core counts as one thread."""
    return max(1, math.ceil(cpu_millicores / 1000))


def secret_errors(env: Mapping[str, str | SecretRef], secrets_dir: Path) -> list[TargetError]:
    """What is wrong with the secrets that an environment refers to; reads none of them."""
    found = []
    for reference in sorted({v for v in env.values() if isinstance(v, SecretRef)}, key=lambda r: (r.secret, r.key)):
        try:
            _secret_file(reference, secrets_dir)
        except TargetError as error:
            found.append(error)
    return found


def _taken(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _value(value: str | SecretRef, secrets_dir: Path) -> str:
    if isinstance(value, str):
        return value
    path = _secret_file(value, secrets_dir)
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(
            "Secret can't be read", f"{path}: {type(error).__name__}. It must be a text file of yours."
        ) from None
    if "\0" in text:
        raise TargetError("Secret can't be read", f"{path} holds a NUL byte, which no environment variable can.")
    return text.removesuffix("\n").removesuffix("\r")


def _secret_file(reference: SecretRef, secrets_dir: Path) -> Path:
    path = secrets_dir / reference.secret / reference.key
    if any(part in ("", ".", "..") or "/" in part for part in (reference.secret, reference.key)):
        raise TargetError("Bad secret name", f"{reference.secret!r}/{reference.key!r} is no name of a file.")
    try:
        status = path.lstat()
    except OSError:
        raise TargetError("Secret is missing", f"There is no file {path}. {_how_to_make(path)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise TargetError("Secret is no plain file", f"{path} is a folder or a link. {_how_to_make(path)}")
    if status.st_uid != os.geteuid():
        raise TargetError(
            "Secret belongs to another user",
            f"User number {status.st_uid} owns {path} and can change it. Make it yours: sudo chown $(id -un) {path}",
        )
    if status.st_mode & 0o077:
        raise TargetError(
            "Secret is open to others",
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so other users can reach it. Close it: "
            f"chmod 600 {path}",
        )
    return path


def _how_to_make(path: Path) -> str:
    return f"Make it: mkdir -p -m 700 {path.parent} && install -m 600 /dev/stdin {path}  (then paste it, and Ctrl-D)"
