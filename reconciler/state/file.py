"""Reads and writes the state file: atomic (temporary file, fsync, rename), mode 0600."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reconciler.state.model import State, StateError, from_bytes, to_bytes


class StateFile:
    def __init__(self, path: Path, installation: str, target: str) -> None:
        self.path = path
        self._installation = installation
        self._target = target
        self.bytes_written = 0

    def load(self) -> State:
        """The recorded state; a new one where there is no file. StateError when it can't be used."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return State.new(self._installation, self._target)
        except OSError as error:
            raise StateError("State file can't be read", f"{self.path}: {error.strerror}.") from error
        state = from_bytes(content, str(self.path))
        if state.installation != self._installation or state.target not in ("", self._target):
            raise StateError(
                "State file belongs to another installation",
                f"{self.path} records installation {state.installation!r} on target {state.target!r}; this is "
                f"{self._installation!r} on {self._target!r}. Name another `state:` in platform.yaml.",
            )
        return state

    def save(self, state: State) -> None:
        """Replaces the file as a whole; a reader sees the old or the new one, never a part."""
        content = to_bytes(state)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StateError("State file can't be written", f"{self.path}: {error.strerror}.") from error
        self.bytes_written += len(content)
