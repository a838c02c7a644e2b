"""Who owns `.kubeserve/`: asked before a command reads or writes anything in it.

What is in the folder says which processes belong to this installation and where requests go, so whoever can write it
can have the operator end or start processes. Called by the workspace and the doctor; `denied` by whatever opens files.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.model.paths import Paths
from specs.errors import KubeServeError
from specs.untrusted import Untrusted

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_REACHABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class HomeError(KubeServeError):
    """The folder in which an installation is kept can't be trusted, or can't be made."""

    code = "home"


def prepare_home(paths: Paths) -> None:
    """Makes the folder, with mode 0700 also where it was there before; Git never sees it. HomeError if it can't be."""
    home, ignore = paths.home, paths.home / ".gitignore"
    check_home(paths)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_mode & _REACHABLE_BY_OTHERS:
            home.chmod(0o700)  # `mkdir -p .kubeserve/secrets/NAME` makes it with the usual mode
        if not ignore.exists() or not ignore.stat().st_size:
            ignore.write_text("*\n")
    except OSError as error:
        raise HomeError(
            "Nothing can be kept here",
            f"{home}: {denied(error, home)}. What runs, is stored and recorded is kept in that folder. Make it "
            "writable, or name a platform.yaml in another folder with --platform.",
        ) from error


def check_home(paths: Paths) -> None:
    """HomeError unless the folder, if it is there, and what is in it belong to this user and nobody else can write it.

    Looks at the folder, at its entries and at those of `run/`, and at what a symlink among them leads to; deeper, each
    mark is checked when it is read.
    """
    home = paths.home
    status = _status(home)
    if home.is_symlink() and home.lstat().st_uid not in (os.geteuid(), 0):
        raise _foreign(home, home.lstat().st_uid)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        raise HomeError(
            "KubeServe's folder is a file",
            f"What runs, is stored and recorded is kept in the folder {home}, but a file has that name. Move it away.",
        )
    if status.st_uid != os.geteuid():
        raise _foreign(home, status.st_uid)
    if _is_open(status):
        raise _writable(home, status)
    for path in _entries(home, paths.run):
        _check_entry(home, path, is_closed=not status.st_mode & _REACHABLE_BY_OTHERS)


def _check_entry(home: Path, path: Path, *, is_closed: bool) -> None:
    """`is_closed`: nobody else comes through the home, so the modes of what is really in it don't matter."""
    statuses = [path.lstat()]
    with suppress(OSError):
        statuses.append(path.stat())
    for status in statuses:
        if status.st_uid != os.geteuid():
            raise _mixed(home, path, status.st_uid)
    if _is_open(statuses[-1]) and (path.is_symlink() or not is_closed) and len(statuses) == 2:
        raise _writable(path, statuses[-1])


def denied(error: OSError, path: Path) -> str:
    """An operating system's refusal in words: of missing permission, with the owner of the path and how to fix it."""
    words, fix = error.strerror or str(error), permission_fix(error, path)
    return f"{words}; {fix}" if fix else words


def permission_fix(error: OSError, path: Path) -> str:
    """Whose a path is that may not be read or written, and the command that changes it; empty for other errors."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return ""
    for place in (path, *path.parents):
        try:
            status = place.lstat()
        except OSError:
            continue
        shown = Untrusted(str(place))
        if status.st_uid == os.geteuid():
            return f"{shown} is yours, with mode {stat.S_IMODE(status.st_mode):04o}: chmod u+rwX {shown}"
        me = user_name(os.geteuid())
        return f"{shown} belongs to {user_name(status.st_uid)}: run this as them, or sudo chown -R {me} {shown}"
    return ""


def user_name(uid: int) -> str:
    """The name of a user, or the number as commands take it where the user has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _foreign(home: Path, uid: int) -> HomeError:
    name = user_name(uid)
    return HomeError(
        "KubeServe's folder belongs to another user",
        f"{home} belongs to user {name}, who runs what is there. Run it as them: sudo -u {_quoted(name)} kubeserve "
        "apply (or the command that you need).",
    )


def _writable(path: Path, status: os.stat_result) -> HomeError:
    return HomeError(
        "Other users can write KubeServe's folder",
        f"{Untrusted(str(path))} has mode {stat.S_IMODE(status.st_mode):04o}, so others can put into it what this "
        f"user's processes then trust. Look at what is there, then close it: chmod -R go-rwx {Untrusted(str(path))}",
    )


def _mixed(home: Path, path: Path, uid: int) -> HomeError:
    me, other = user_name(os.geteuid()), user_name(uid)
    return HomeError(
        "KubeServe's folder holds files of another user",
        f"{Untrusted(str(path))} belongs to {other}, and {home} to {me}. A command of {other} made it. To make "
        f"all of it yours: sudo chown -R {me} {home}",
    )


def _quoted(name: str) -> str:
    return f"'{name}'" if name.startswith("#") else name


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeError("KubeServe's folder can't be read", f"{path}: {denied(error, path)}.") from error


def _is_open(status: os.stat_result) -> bool:
    """Whether others can write. A group that is the user's alone, as many systems make it, is no other."""
    writable = status.st_mode & _WRITABLE_BY_OTHERS
    return bool(writable) and not (writable == stat.S_IWGRP and _is_private(status.st_gid))


def _is_private(gid: int) -> bool:
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _entries(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                paths = sorted(entry.path for entry in entries)
        except OSError:
            continue
        yield from map(Path, paths)
