"""Who holds a target's lock, in a form that the one who can't have it understands.

A target has one writer: the local target's lock is a file's, the cluster's a Lease. Both answer with an Owner.
"""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from specs.errors import KubeServeError


class LockHeldError(KubeServeError):
    """Another round runs on this target."""

    code = "locked"


@dataclass(frozen=True, slots=True)
class Owner:
    pid: int
    host: str
    user: str
    command: str
    since: str  # ISO 8601 in UTC
    token: int  # grows with every owner

    @property
    def has_ended(self) -> bool:
        """Whether it is sure that it runs no more: on another machine it never is."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's
            return False
        return False

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} of {self.user} on {self.host}, since {self.since})"


def this_process(command: str, token: int) -> Owner:
    """The owner that this process is from now on."""
    return Owner(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=_user(),
        command=command,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        token=token,
    )


def held_by(owner: Owner | None) -> LockHeldError:
    """Why a round can't begin."""
    return LockHeldError(
        "Another round is running",
        f"{owner or 'An unknown process'} works on this target. Wait for it, or give --lock-timeout.",
        retryable=True,
    )


def left_by(owner: Owner) -> LockHeldError:
    """The same, where the lock of an owner that ended is free only once it expires."""
    return LockHeldError(
        "A round has ended without giving its lock back",
        f"{owner} held it. It is free within seconds: give --lock-timeout 30 to wait for that.",
        retryable=True,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in some containers
        return str(os.getuid())
