"""`python -m reconciler.targets.local.gateway`: the target starts it in its own session."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.targets.local.gateway.server import StartError, log, log_to, serve


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run_dir: Path = options.run_dir
    try:
        log_to(run_dir)
        _allow_many_connections()
        gc.freeze()  # imported modules live forever: keep the collector from walking them
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(run_dir, options.host, options.port))
    except StartError as error:
        log.error("%s", error)
        return _failed(str(error), error.exit_code)
    except OSError as error:
        return _failed(f"{run_dir}: {error.strerror or error}", 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m reconciler.targets.local.gateway", description="The local gateway.")
    parser.add_argument("--run-dir", type=Path, required=True, help="where routes.json is, and gateway.json goes")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True, help="0: any free one")
    return parser


def _failed(why: str, exit_code: int) -> int:
    sys.stderr.write(f"gateway: {why}\n")
    return exit_code


def _allow_many_connections() -> None:
    """A request takes two file descriptors, and the usual soft limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop if it is installed, because it serves a quarter more requests."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
