"""Load on an address by clients that keep their connections: every answer is kept, and every failure."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

CLIENTS = 3
TIMEOUT_SECONDS = 60.0
PAUSE_SECONDS = 0.005  # between two requests of a client, so that a small machine has something left for what is tested


class Load:
    def __init__(self, url: str, body: bytes) -> None:
        self._url = urlsplit(url)
        self._body = body
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                connection.request("POST", self._url.path, self._body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.answers[text] += 1
            else:
                self.failures.append(f"{answer.status} {text}")
        connection.close()


@contextmanager
def load_on(url: str, body: bytes = b'{"inputs": [[1]]}') -> Iterator[Load]:
    """Asks all the time while the block runs."""
    load = Load(url, body)
    load.start()
    try:
        yield load
    finally:
        load.stop()
