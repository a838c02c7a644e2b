"""A package index on this machine that remembers what it was asked for: a folder of wheels, over HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class PackageIndex:
    """`wheels` may grow. While `answers` is not set, no request is answered."""

    wheels: Path
    port: int = 0
    seen: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """Makes it pip's only index."""
        return {
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.port}/simple",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }

    def body(self, path: str) -> bytes | None:
        """/simple/NAME/ lists wheels, /simple/NAME/WHEEL is one."""
        _, _, name, wheel = path.split("/")
        if wheel:
            return (self.wheels / wheel).read_bytes()
        links = [f'<a href="{file.name}">{file.name}</a>' for file in self.wheels.glob(f"{name}-*.whl")]
        return "\n".join(links).encode() if links else None


@contextmanager
def package_index(wheels: Path) -> Generator[PackageIndex]:
    index = PackageIndex(wheels)
    index.answers.set()
    handler = type("Handler", (_Handler,), {"index": index})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        index.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield index
        finally:
            index.answers.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    index: PackageIndex

    def do_GET(self) -> None:
        self.index.seen.append(self.path)
        self.index.answers.wait()
        body = self.index.body(self.path)
        try:
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/octet-stream" if self.path.endswith(".whl") else "text/html")
            self.end_headers()
            self.wfile.write(body or b"")
        except OSError:  # the client has gone
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass
