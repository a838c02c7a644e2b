"""A real smart-HTTP Git server on this machine: git-http-backend behind http.server, with TLS and a login if asked."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from tests.support.network.tls import Authority


@dataclass
class GitServer:
    """Serves the repositories below `root`. Fields may be changed while it runs."""

    root: Path
    login: tuple[str, str] | None = None
    redirect_to: str = ""  # scheme://host:port that every request is sent to instead
    authority: Authority | None = None
    requests: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    lfs: dict[str, bytes] = field(default_factory=dict)  # sha256 -> what Git LFS is given for it
    url: str = ""


@contextmanager
def serve_git(root: Path, authority: Authority | None = None) -> Iterator[GitServer]:
    """Over https:// when there is an authority to issue a certificate."""
    state = GitServer(root, authority=authority)

    class Handler(_Handler):
        git_server = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if authority:
        server.socket = authority.server_context("localhost").wrap_socket(server.socket, server_side=True)
    state.url = f"{'https' if authority else 'http'}://localhost:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    git_server: GitServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _answer(self, body: bytes) -> None:
        self.git_server.requests.append(f"{self.command} {self.path}")
        if self.git_server.redirect_to:
            self._reply(302, [("Location", self.git_server.redirect_to + self.path)], b"")
        elif not self._logged_in():
            self._reply(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._lfs_batch(json.loads(body))
        elif self.path.startswith("/lfs/"):
            self._reply(200, [], self.git_server.lfs[self.path.removeprefix("/lfs/")])
        else:
            self._backend(body)

    def _logged_in(self) -> bool:
        encoded = self.headers.get("Authorization", "").removeprefix("Basic ")
        given = base64.b64decode(encoded).decode().partition(":")
        if encoded:
            self.git_server.logins.append((given[0], given[2]))
        return self.git_server.login is None or (given[0], given[2]) == self.git_server.login

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _lfs_batch(self, asked: dict[str, Any]) -> None:
        """https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md"""
        objects = []
        for wanted in asked["objects"]:
            link = {"download": {"href": f"{self.git_server.url}/lfs/{wanted['oid']}"}}
            known = wanted["oid"] in self.git_server.lfs
            objects.append(
                {**wanted, **({"actions": link} if known else {"error": {"code": 404, "message": "absent"}})}
            )
        content = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self._reply(200, [("Content-Type", "application/vnd.git-lfs+json")], content)

    def _backend(self, body: bytes) -> None:
        url = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.git_server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        git = shutil.which("git") or "git"
        done = subprocess.run([git, "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._reply(status, [(name, value) for name, value in headers if name != "Status"], content)

    def _reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
