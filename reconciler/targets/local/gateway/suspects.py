"""Replicas that failed a request in a way that may last: they come last until they say that they are ready.

`exchange` suspects a replica that exceeded the time limit or answered 503; `server` asks all suspects every second.
"""

from __future__ import annotations

import asyncio

from reconciler.targets.local.gateway import upstream
from reconciler.targets.local.gateway.balance import Balancer, LiveReplica

READY_SECONDS = 2.0
"""For the answer: a replica that is too busy for it is not ready for more requests."""

LAST_SECONDS = 5.0
"""How long one that is not ready comes last in turn, unless it is asked again before."""

_REQUEST = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_OK = 200


def suspect(replica: LiveReplica) -> None:
    replica.suspect = True
    replica.refused_until = asyncio.get_running_loop().time() + LAST_SECONDS


async def ask_suspects(balancer: Balancer) -> None:
    """Clears those that answer that they are ready. Takes at most READY_SECONDS."""
    suspects = [replica for replica in balancer.replicas() if replica.suspect]
    for replica, ready in zip(suspects, await asyncio.gather(*map(_is_ready, suspects)), strict=True):
        if ready:
            replica.suspect, replica.refused_until = False, 0.0
        else:
            suspect(replica)


async def _is_ready(replica: LiveReplica) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS):
            connection = await upstream.acquire(replica)
            try:
                connection.expect_answer("GET")
                upstream.send(connection, _REQUEST)
                message, _ = await upstream.read_answer(connection)
                return message.code == _OK
            finally:
                upstream.release(replica, connection, reusable=False)
    except (TimeoutError, upstream.ConnectFailedError, upstream.NoAnswerError, upstream.BadAnswerError):
        return False
