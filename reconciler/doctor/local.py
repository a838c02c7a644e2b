"""What the local target needs: the packages of its extra, the gateway's address, and no processes without a record.

Called by `checks.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from reconciler.doctor.findings import Finding, ok, problem, warning
from reconciler.model.resources import Kind, Scope
from reconciler.targets.local.gateway_process import GatewayProcess
from reconciler.targets.local.rundir import RunDir
from reconciler.workspace import Workspace

IMPORT_SECONDS = 60.0
MODULES = (
    *("aiohttp", "joblib", "numpy", "onnxruntime", "prometheus_client", "sklearn", "skops", "starlette"),
    *("uvicorn", "uvloop"),
)
SHOWN = 5

_IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {error}".splitlines()[0])
"""


def extra() -> Iterator[Finding]:
    """Imported in a process of its own: what breaks there, or takes long, is not ours."""
    command = [sys.executable, "-P", "-c", _IMPORT, *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False)
    broken = done.stdout.splitlines() or ([f"importing them ended with {done.returncode}"] if done.returncode else [])
    if broken:
        yield problem(
            "The extra `local` can't be imported",
            f"Models are served with its packages: {'; '.join(broken)}.",
            'Install it: pip install "kubeserve[local]".',
        )
    else:
        yield ok("The extra `local` is installed")


def gateway(workspace: Workspace) -> Iterator[Finding]:
    named = workspace.platform.gateway
    process = GatewayProcess(RunDir(workspace.paths.run.resolve()), named.host, named.port)
    trouble = process.trouble()
    if trouble is not None:
        yield problem(trouble.summary, trouble.detail)
    elif process.live_address is not None:
        yield ok(f"The gateway answers at {process.url}")
    elif process.url is not None:
        yield ok(f"The gateway's address is free: {process.url}")
    else:
        yield ok("The gateway's port is chosen by the first apply")


def orphans(workspace: Workspace) -> Iterator[Finding]:
    live = workspace.target.observe(Scope()).resources
    known = workspace.state_file.load().resources
    unknown = sorted(str(resource) for resource in live if resource.kind is not Kind.TENANT and resource not in known)
    if unknown:
        more = f", and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        yield warning(
            "Something runs that no state file knows",
            f"It carries this installation's mark: {', '.join(unknown[:SHOWN])}{more}.",
            "`kubeserve apply` takes over what the specs ask for; with --prune-unclaimed it removes the rest.",
        )
    else:
        yield ok("Everything that runs is recorded")
