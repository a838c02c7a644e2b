"""A real runtime in a process of its own, for end-to-end tests: started, asked over HTTP, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2
import psutil

from tests.support.patience import eventually

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60.0
Answer = TypeVar("Answer")


class RuntimeProcess:
    """`python -m runtime ARTIFACT OPTIONS` on a free port; killed at the end of a with block if it still runs.

    `folder` receives its log, record and reason, each a file of its own. `command`: what starts it otherwise.
    """

    def __init__(
        self,
        folder: Path,
        artifact: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "log"
        self.reason_file = folder / "reason"
        self._record_file = folder / "record"
        files = ["--record-file", str(self._record_file), "--reason-file", str(self.reason_file)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBESERVE_")}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*(command or (sys.executable, "-m", "runtime", str(artifact))), "--port", "0", *files, *options],
                env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> RuntimeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def record(self) -> dict[str, Any]:
        """What it wrote down of itself, once it did."""
        eventually(self._has_record_or_ended, "the runtime wrote no record")
        content: dict[str, Any] = json.loads(self._record_file.read_text())
        return content

    @property
    def url(self) -> str:
        return f"http://{self.record['host']}:{self.record['port']}"

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=DEADLINE_SECONDS)

    def post(self, path: str, body: Any) -> httpx2.Response:
        """Bytes are sent as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx2.post(self.url + path, content=content, timeout=DEADLINE_SECONDS)

    def predict(self, inputs: Any) -> Any:
        """The predictions; fails when there are none."""
        response = self.post("/predict", {"inputs": inputs})
        assert response.status_code == 200, response.text
        return response.json()["predictions"]

    def wait_until_ready(self) -> RuntimeProcess:
        eventually(self._is_ready, "the runtime did not get ready")
        return self

    @property
    def server(self) -> psutil.Process:
        """The process that serves; the one that was started supervises it."""
        (server,) = psutil.Process(self.process.pid).children()
        return server

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def _has_record_or_ended(self) -> bool:
        assert self._record_file.exists() or self.process.poll() is None, f"the runtime ended:\n{self.log}"
        return self._record_file.exists()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the runtime ended:\n{self.log}"
        return self.get("/ready").status_code == 200
