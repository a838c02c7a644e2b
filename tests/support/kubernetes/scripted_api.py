"""An API server that does what a test says, over real HTTP: for answers that a real one gives only in bad hours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import yaml

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import Object, marks

INSTALLATION = "scripted"


def config_map(variant: str, version: int) -> Object:
    """One that a variant of fraud/churn owns."""
    metadata = {
        "name": variant,
        "namespace": "default",
        "uid": variant,
        "resourceVersion": str(version),
        "labels": marks(INSTALLATION, "fraud", "churn", variant),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def listing(version: int, *items: Object) -> JSON:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(kind: str, found: Object) -> JSON:
    return {"type": kind, "object": found}


def failure(status: int, reason: str) -> JSON:
    return {"kind": "Status", "status": "Failure", "reason": reason, "code": status, "message": reason}


@dataclass
class ScriptedApi:
    """`lists` and `watches` are asked for every answer. A watch stays open until the test ends, or `stays_open` is
    False."""

    kubeconfig: Path
    lists: Callable[[], tuple[int, JSON]] = lambda: (200, listing(1))
    watches: Callable[[], Iterator[JSON]] = lambda: iter(())
    refuses_watches: int = 0  # with this status
    stays_open: bool = True
    listed: int = 0
    watched: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def scripted_api(folder: Path) -> Iterator[ScriptedApi]:
    api = ScriptedApi(folder / "kubeconfig")
    handler = type("Handler", (_Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "s", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "users": [{"name": "s", "user": {}}],
            "contexts": [{"name": "s", "context": {"cluster": "s", "user": "s"}}],
            "current-context": "s",
        }
        api.kubeconfig.write_text(yaml.safe_dump(document))
        try:
            yield api
        finally:
            api.ended.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    api: ScriptedApi

    def do_GET(self) -> None:
        if "watch=true" in self.path:
            self.api.watched += 1
            self._watch()
        elif "configmaps" in self.path:
            self.api.listed += 1
            self._answer(*self.api.lists())
        else:
            self._answer(200, {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]})

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _watch(self) -> None:
        if self.api.refuses_watches:
            self._answer(self.api.refuses_watches, failure(self.api.refuses_watches, "Refused"))
            return
        self.send_response(200)
        self.end_headers()
        for found in self.api.watches():
            self.wfile.write(orjson.dumps(found) + b"\n")
            self.wfile.flush()
        if self.api.stays_open:
            self.api.ended.wait()

    def _answer(self, status: int, document: JSON) -> None:
        body = orjson.dumps(document)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
