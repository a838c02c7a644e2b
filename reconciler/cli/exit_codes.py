"""What the command's exit codes mean. They are stable."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1  # something failed with nothing serving, or a spec was broken
    CHANGES = 2  # `plan --detailed-exitcode`: there are changes
    DEGRADED = 3  # a rollout kept its old version
    USAGE = 64  # wrong usage (click's own 2 means changes here)
    INTERRUPTED = 130
    PIPE_CLOSED = 141  # nobody reads stdout any more, as behind `| head`; what a shell reports of SIGPIPE
