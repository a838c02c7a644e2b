"""A second user of this machine, for tests of what belongs to whom. Only root can act as somebody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

OTHER_UID = 65534  # `nobody` on every Linux

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acting as a second user needs root")


def give_away(*paths: Path) -> None:
    """To the other user, with all that is in them."""
    for path in paths:
        os.lchown(path, OTHER_UID, OTHER_UID)
        if path.is_dir() and not path.is_symlink():
            give_away(*path.iterdir())


def as_other(function: Callable[[], str]) -> str:
    """What a function answers when the other user calls it, in a child process; an exception is its message."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(OTHER_UID)
            os.setuid(OTHER_UID)
            answer = function()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer
