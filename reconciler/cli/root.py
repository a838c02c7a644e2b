"""The entry point: finds the command, runs it, and turns every way to end into an exit code and plain words."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import NoReturn, TextIO

import click

from reconciler.cli import interrupts
from reconciler.cli.console import Verbosity, coloured, talk
from reconciler.cli.endings import ending, settle_stdout
from reconciler.cli.exit_codes import ExitCode

NAME = "kubeserve"
COMPLETION_VARIABLE = "_KUBESERVE_COMPLETE"
COMMANDS = {
    "init": "Write a first kubeserve.yaml.",
    "validate": "Check the specs; change nothing.",
    "plan": "Show what apply would do.",
    "apply": "Make what runs equal to what the specs ask for.",
    "status": "Show the state of deployments, and their URLs.",
    "predict": "Ask a deployment for a prediction.",
    "logs": "Show what a deployment's model server writes.",
    "push": "Upload a version to the store, for models that are not in Git.",
    "destroy": "Remove deployments and everything that runs for them.",
    "render": "Print the Kubernetes manifests of what the specs ask for.",
    "doctor": "Check what KubeServe needs, and say how to fix problems.",
    "schema": "Print the JSON Schema of kubeserve.yaml or platform.yaml.",
    "version": "Print the version of KubeServe.",
    "completion": "Print a shell's completion script.",
}
ORDER = list(COMMANDS)


def _raise_verbosity(ctx: click.Context, _parameter: click.Parameter, value: int) -> None:
    if value and isinstance(ctx.obj, Verbosity):
        ctx.obj.level += value
        _start_log(ctx.obj.level)


def _start_log(level: int) -> None:
    """From one -v on: each step of a round; from two on: every detail. structlog is not loaded without."""
    import logging

    from reconciler import log

    log.start(talk, logging.DEBUG if level > 1 else logging.INFO, coloured=coloured(sys.stderr))


_VERBOSE = click.Option(
    ["-v", "--verbose"],
    count=True,
    expose_value=False,
    callback=_raise_verbosity,
    help="Write a log of every step to stderr, and show more of a model's log; twice: also details and tracebacks.",
)


def _stop_log() -> None:
    from reconciler import log

    log.stop()


class LazyGroup(click.Group):
    """Knows its commands by name and one line; imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ORDER

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{cmd_name}")
        command: click.Command = module.command
        if _VERBOSE not in command.params:
            command.params.append(_VERBOSE)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from specs.names import did_you_mean

            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(
    NAME,
    cls=LazyGroup,
    params=[_VERBOSE],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name=NAME, message="%(version)s")
def kubeserve() -> None:
    """From a commit to an answer: models from a kubeserve.yaml in Git, served under stable URLs.

    Every command takes a directory or a Git URL (with --ref); without one, the current directory.
    """


def main() -> NoReturn:
    """Runs the command line and exits. Codes: see `exit_codes.py`."""
    if COMPLETION_VARIABLE in os.environ:
        kubeserve.main(prog_name=NAME)
    interrupts.install()
    sys.stdout, sys.stderr = _writable(sys.stdout), _writable(sys.stderr)
    code = run(sys.argv[1:])
    settle_stdout()
    sys.exit(code)


def _writable(stream: TextIO | None) -> TextIO:
    """A stream that writes ? for what its encoding can't hold. None: the stream was closed before we started."""
    if stream is None:
        return Path(os.devnull).open("w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream


def run(arguments: list[str]) -> int:
    """Runs one command and answers its exit code."""
    verbosity = Verbosity()
    try:
        with kubeserve.make_context(NAME, list(arguments), obj=verbosity) as ctx:
            result = kubeserve.invoke(ctx)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        return ending(error, verbosity.level)
    finally:
        if verbosity.level:
            _stop_log()
    return int(result) if isinstance(result, int) else ExitCode.OK
