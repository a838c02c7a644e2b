"""The S3 servers that the suites of this folder share, each started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.stores.s3_servers import S3Server, moto_server, rclone_server, versity_server

_STARTERS = {"moto": moto_server, "rclone": rclone_server, "versitygw": versity_server}


@pytest.fixture(scope="session")
def s3_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    """A server by name: moto, rclone or versitygw. Skips the test where it can't be had."""
    running: dict[str, S3Server] = {}
    with ExitStack() as stack:

        def start(name: str) -> S3Server:
            if name not in running:
                running[name] = stack.enter_context(_STARTERS[name](tmp_path_factory.mktemp(name)))
            return running[name]

        yield start
