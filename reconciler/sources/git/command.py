"""Running git, through GitPython, which is imported here and nowhere else.

In: a fixed sub-command with checked arguments. Out: its output, or a GitFailed whose text is safe to show. Called by
`mirror.py`, `objects.py` and `lfs.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread, Timer
from typing import IO, Any
from uuid import uuid4

from reconciler.sources.git.configuration import HELPER_PASSWORD, HELPER_REFUSED, PASSED
from reconciler.sources.git.credentials import scrub
from reconciler.sources.protocol import SourceError

Progress = Callable[[str], None]
"""Called with a line of text, such as "Receiving objects:  45% (123/270)", from a thread."""

MAX_OUTPUT = 16 * 2**20
"""Bytes of a command whose output is read whole."""

_PROGRESS = re.compile(r"remote: |[A-Z][a-z ]+: +\d+%")  # and not the refs that were updated
_KEPT_STDERR = 16 * 1024
_GRACE_SECONDS = 5.0


class GitFailed(Exception):  # noqa: N818 - `errors.py` turns it into an error
    """`stderr`: git's messages without secrets and control characters."""

    def __init__(self, stderr: str, *, timed_out: bool = False) -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class GitOptions:
    seconds: float | None = None
    stdin: bool = False
    progress: Progress | None = None
    git_dir: Path | None = None  # a repository other than this Git's own


DEFAULTS = GitOptions()


class Git:
    """Runs commands on one bare repository, with our own configuration and variables."""

    def __init__(self, git_dir: Path, variables: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        self._git_dir = git_dir
        self._variables = dict(variables)
        self._secrets = tuple(secrets)

    def run(self, *arguments: str, data: bytes = b"", options: GitOptions = DEFAULTS) -> bytes:
        """The output of a successful command, at most MAX_OUTPUT bytes. `data`: a few bytes for its stdin."""
        with self.start(*arguments, options=replace(options, stdin=bool(data))) as process:
            if data:
                process.feed(data)
            output = process.stdout.read(MAX_OUTPUT + 1)
            if len(output) > MAX_OUTPUT:
                raise GitFailed(f"git {arguments[0]} printed more than {MAX_OUTPUT} bytes")
            process.finish()
        return output

    def start(self, *arguments: str, options: GitOptions = DEFAULTS) -> Process:
        """Starts a command; use it as a context manager, whose exit ends the process."""
        git = _git_class()
        executable = git.GIT_PYTHON_GIT_EXECUTABLE or "git"
        command = ["env", *_unset(self._variables), executable, f"--git-dir={options.git_dir or self._git_dir}"]
        variables, refused = self._variables, None
        if HELPER_PASSWORD in variables:
            refused = self._git_dir.with_name(f"refused-{uuid4().hex}")
            variables = {**variables, HELPER_REFUSED: str(refused)}
        with _installed():
            started = git(str(self._git_dir.parent)).execute(
                [*command, *arguments],
                istream=subprocess.PIPE if options.stdin else None,
                as_process=True,
                env=variables,
                start_new_session=True,  # so that its children (ssh, helpers) end with it
            )
        return Process(started, self._secrets, options, refused)


class Process:
    def __init__(self, started: Any, secrets: Sequence[str], options: GitOptions, refused: Path | None) -> None:
        self._started = started  # ends the process when it is collected
        self._process: subprocess.Popen[bytes] = started.proc
        self._secrets = secrets
        self._refused = refused
        self._progress = options.progress
        self._stderr = bytearray()
        self._timed_out = False
        self._drain = Thread(target=self._read_stderr, name="git stderr", daemon=True)
        self._drain.start()
        self._timer = Timer(options.seconds or 0, self._time_out)
        self._timer.daemon = True
        if options.seconds is not None:
            self._timer.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - GitPython always pipes it
        return self._process.stdout

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        return self._process.stdin

    def feed(self, data: bytes) -> None:
        """Writes the whole input and closes stdin. A command that ended early reports why by its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(data)
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def stop_clock(self) -> None:
        """Ends the time limit: from here on the command may take as long as its reader does."""
        self._timer.cancel()

    def finish(self) -> None:
        """Waits for the end. GitFailed unless the command succeeded."""
        status = self._process.wait()
        self.stop_clock()
        self._drain.join(_GRACE_SECONDS)
        if status or self._timed_out:
            raise self.failure()

    def failure(self) -> GitFailed:
        text = scrub(bytes(self._stderr).decode(errors="replace").replace("\r", "\n"), self._secrets)
        return GitFailed(text.strip(), timed_out=self._timed_out)

    def close(self) -> None:
        """Ends the process, if it still runs, and its children."""
        self.stop_clock()
        self._signal(signal.SIGTERM)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        self._reap()
        self._drain.join(_GRACE_SECONDS)
        if self._process.stderr and not self._drain.is_alive():
            self._process.stderr.close()
        if self._refused:
            self._refused.unlink(missing_ok=True)

    def _time_out(self) -> None:
        self._timed_out = True
        self._signal(signal.SIGTERM)  # git removes its temporary files and locks
        self._reap()

    def _reap(self) -> None:
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - GitPython always pipes it
        line = bytearray()
        while chunk := self._process.stderr.read1(4096):  # type: ignore[attr-defined]
            self._stderr += chunk
            del self._stderr[:-_KEPT_STDERR]
            if self._progress:
                line += chunk
                *complete, rest = line.replace(b"\r", b"\n").split(b"\n")
                line = bytearray(rest[-_KEPT_STDERR:])
                for text in complete:
                    self._report(bytes(text))

    def _report(self, line: bytes) -> None:
        text = scrub(line.decode(errors="replace"), self._secrets).strip()
        if self._progress and _PROGRESS.match(text):
            self._progress(text)


def _git_class() -> Any:
    with _installed():
        from git import Git as GitPython

    return GitPython


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """GitPython looks for git when it is imported, and GitCommandNotFound is no OSError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError) or type(error).__name__ == "GitCommandNotFound":
            raise SourceError("git is not installed", "Install git 2.30 or later and put it into PATH.") from error
        raise


def _unset(kept: Mapping[str, str]) -> list[str]:
    """Arguments of env(1) that unset all other variables, because GitPython passes on the whole environment."""
    names = [name for name in os.environ if name not in PASSED and name not in kept and "=" not in name]
    return [argument for name in sorted(names) for argument in ("-u", name)]
