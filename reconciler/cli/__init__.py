"""The `kubeserve` command: one small file a command, loaded only when it is called."""

import sys

from reconciler.cli.exit_codes import ExitCode

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits."""
    try:
        from reconciler.cli import root

        root.main()
    except KeyboardInterrupt:  # before or after all that knows how to end
        sys.exit(ExitCode.INTERRUPTED)
