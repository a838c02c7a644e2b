"""The target's connection to a running gateway: its admin port, which gateway.json names.

Synchronous and light: the engine's threads call it after a routing table was written and while a variant
drains. Every call opens its own short connection, so one client may be shared between threads.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.targets.local.processes import ProcessId, is_alive
from reconciler.targets.protocol import TargetError

GATEWAY_FILE = "gateway.json"
LOG_FILE = "gateway.log"
PORT_TAKEN = 3
"""The exit code of a gateway whose named port belongs to somebody else."""

DRAIN_SECONDS = 8.0
"""How long a gateway that was told to end goes on answering what it had accepted."""

_ADMIN_HOST = "127.0.0.1"
_ADMIN_SECONDS = 10.0


class GatewayError(TargetError):
    """The gateway doesn't run, doesn't answer, or refused the request."""

    code = "gateway"


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """The content of gateway.json, which a gateway writes once it listens."""

    pid: int
    started: float  # seconds since the epoch, as psutil gives it
    host: str
    port: int
    admin_port: int

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.started)

    def to_json(self) -> bytes:
        return orjson.dumps(self)


@dataclass(frozen=True, slots=True)
class GatewayClient:
    run_dir: Path

    def info(self) -> GatewayInfo | None:
        """What the last gateway of this run directory wrote; it may have ended since."""
        try:
            return GatewayInfo(**orjson.loads((self.run_dir / GATEWAY_FILE).read_bytes()))
        except (FileNotFoundError, TypeError, orjson.JSONDecodeError):
            return None

    def alive(self) -> bool:
        """Whether that very process still runs. It was listening before it wrote the file."""
        info = self.info()
        return info is not None and is_alive(info.process)

    def reload(self) -> int:
        """Makes the gateway read routes.json. When it returns (the generation that is in force), no new
        request goes to what is no longer in the table. GatewayError: the old table is still in force."""
        return int(self._ask("POST", "/reload")["generation"])

    def inflight(self, variant_key: str) -> int:
        """Requests of a variant (`tenant/variant`) that were accepted and not yet answered to the end."""
        return self.inflights().get(variant_key, 0)

    def inflights(self) -> Mapping[str, int]:
        """The same for all variants that have any, in one call."""
        return {str(key): int(count) for key, count in self.status()["inflight"].items()}

    def status(self) -> Mapping[str, Any]:
        """`{"generation", "inflight": {variant key: count}, "uptime": seconds}`."""
        return self._ask("GET", "/status")

    def _ask(self, method: str, path: str) -> Mapping[str, Any]:
        info = self.info()
        # Another program may have taken a dead gateway's admin port: ask only the process that wrote it down.
        if info is None or not is_alive(info.process):
            raise GatewayError("Gateway is not running", f"No gateway runs for {self.run_dir}; apply starts it.")
        connection = http.client.HTTPConnection(_ADMIN_HOST, info.admin_port, timeout=_ADMIN_SECONDS)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            status, body = answer.status, orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            detail = f"Its process {info.pid} runs, but: {error}."
            raise GatewayError("Gateway does not answer", detail, retryable=True) from error
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            raise GatewayError("Gateway refused its routing table", str(body.get("detail", body)))
        return dict(body)
