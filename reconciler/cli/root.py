"""The entry point: finds the command, runs it, and turns every way to end into an exit code and plain words."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from reconciler.exit_codes import ExitCode
from specs.errors import KubeServeError

COMMANDS = {
    "init": "Write a first kubeserve.yaml.",
    "validate": "Check the specs; change nothing.",
    "plan": "Show what apply would do.",
    "apply": "Make what runs equal to what the specs ask for.",
    "status": "Show how deployments are, and where they answer.",
    "predict": "Ask a deployment for a prediction.",
    "logs": "Show what a deployment's model server writes.",
    "push": "Put a version into the store without Git holding its bytes.",
    "destroy": "Remove deployments and what belongs to them.",
    "schema": "Print the JSON Schema of kubeserve.yaml or platform.yaml.",
    "version": "Print the version of KubeServe.",
    "completion": "Print a shell's completion script.",
}
ORDER = list(COMMANDS)


class LazyGroup(click.Group):
    """Knows its commands by name and one line; imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ORDER

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{cmd_name}")
        command: click.Command = module.command
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-v", "--verbose", count=True, help="More words; twice: tracebacks too.")
@click.version_option(package_name="kubeserve", message="%(version)s")
@click.pass_context
def kubeserve(ctx: click.Context, verbose: int) -> None:
    """From a commit to an answer: models from a kubeserve.yaml in Git, served under stable URLs.

    Every command takes a directory or a Git URL (with --ref); without one, the current directory.
    """
    ctx.obj = verbose


def main() -> NoReturn:
    """Runs the command line and exits. Codes: see `exit_codes.py`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and answers its exit code."""
    try:
        result = kubeserve.main(arguments, prog_name="kubeserve", standalone_mode=False)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.Abort:
        click.echo("Aborted.", err=True)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitCode.FAILED
    except KeyboardInterrupt:
        click.echo("\nInterrupted. What was begun is recorded; the next apply goes on from there.", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KubeServeError as error:
        if _verbosity(arguments) > 1:
            raise
        click.echo(f"{click.style('error:', fg='red')} {error}", err=True)
        return ExitCode.FAILED
    except Exception as error:
        if _verbosity(arguments) > 1:
            raise
        click.echo(f"error: KubeServe itself failed: {type(error).__name__}: {error}", err=True)
        click.echo("  This is a bug. `kubeserve -vv …` shows where; please report it with that.", err=True)
        return ExitCode.FAILED


def _verbosity(arguments: list[str]) -> int:
    """What came before the command; read by hand, since the parsed context is gone when an error arrives."""
    leading = []
    for argument in arguments:
        if not argument.startswith("-"):
            break
        leading.append(argument)
    return sum(a.count("v") if not a.startswith("--") else a == "--verbose" for a in leading)
