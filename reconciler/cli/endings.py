"""Every way in which a command can end, as plain words on stderr and an exit code. Called by `root.py`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import click

from reconciler.cli import interrupts
from reconciler.cli.console import show_error, show_problems, talk
from reconciler.cli.exit_codes import ExitCode
from reconciler.model.text import terminal_block
from specs.errors import KubeServeError
from specs.untrusted import Untrusted


def ending(error: BaseException, verbosity: int) -> int:
    """Says what went wrong and answers the exit code. Tracebacks are shown from the second -v on."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            talk(terminal_block(error.format_message(), ""))
            return ExitCode.USAGE
        case click.UsageError():
            show_error(error.format_message(), _usage(error))
            return ExitCode.USAGE
        case KeyboardInterrupt() | EOFError() | click.Abort():
            interrupts.tell()
            return ExitCode.INTERRUPTED
        case BrokenPipeError():
            return ExitCode.PIPE_CLOSED
    if verbosity > 1:
        talk(terminal_block("".join(traceback.format_exception(error)), ""))
    _explain(error)
    return ExitCode.FAILED


def settle_stdout() -> None:
    """Discards output that can't be written any more, or the interpreter would report it when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: BaseException) -> None:
    from specs.problems import SpecErrors

    match error:
        case SpecErrors():
            show_problems(error.problems)
        case KubeServeError():
            show_error(error.summary, error.detail)
        case click.ClickException():
            show_error(error.format_message())
        case OSError():  # the machine's refusal, wherever it comes from: disk full, no permission, too many files
            show_error(error.strerror or str(error), f"{_place(error)}`kubeserve -vv …` shows where it happened.")
        case _:
            show_error(
                f"KubeServe itself failed: {type(error).__name__}: {error}",
                "This is a bug. `kubeserve -vv …` shows where; please report it with that.",
            )


def _place(error: OSError) -> str:
    """Which file, and whose it is where that is the reason."""
    from reconciler.state.home import permission_fix

    if not isinstance(error.filename, str | bytes):
        return ""
    name = os.fsdecode(error.filename)
    fix = permission_fix(error, Path(name))
    return f"'{Untrusted(name)}'. {fix}. " if fix else f"'{Untrusted(name)}'. "


def _usage(error: click.UsageError) -> str:
    if error.ctx is None:
        return ""
    return f"{error.ctx.get_usage()}\nRun `{error.ctx.command_path} --help` for all options."
