"""The doctor at real S3 servers: what he writes goes again, and servers differ in what they honour."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.doctor import storage
from reconciler.doctor.findings import DoctorCheck, Finding, FindingSeverity
from reconciler.doctor.run import run_checks
from specs.models.platform import S3StoreSpec
from tests.support.stores.s3_servers import S3Server, add_account, free_port, moto_server, rclone_server, versity_server

STARTERS = {"moto": moto_server, "rclone": rclone_server, "versitygw": versity_server}
NO_CONDITIONS = "The artifact store has no conditional writes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    running: dict[str, S3Server] = {}
    with ExitStack() as stack:

        def start(name: str) -> S3Server:
            if name not in running:
                running[name] = stack.enter_context(STARTERS[name](tmp_path_factory.mktemp(name)))
            return running[name]

        yield start


def look(endpoint: str, bucket: str) -> list[Finding]:
    spec = S3StoreSpec(type="s3", bucket=bucket, prefix="models/", endpoint=endpoint, path_style=True)
    report = run_checks([DoctorCheck("artifact store", lambda: storage.store(spec, Path()))])
    return [checked.finding for checked in report.found]


@pytest.mark.parametrize("name", ["moto", "versitygw"])
def test_a_server_that_honours_conditions_is_good_and_left_as_it_was(
    server: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    running = server(name)
    running.use(monkeypatch)
    bucket = running.make_bucket()
    found = look(running.endpoint, bucket)
    assert [finding.severity for finding in found] == [FindingSeverity.OK, FindingSeverity.OK], found
    assert "Contents" not in running.client.list_objects_v2(Bucket=bucket)


def test_a_server_that_ignores_conditions_is_a_warning(
    server: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = server("rclone")
    running.use(monkeypatch)
    bucket = running.make_bucket()
    found = look(running.endpoint, bucket)
    assert [(f.severity, f.summary) for f in found[1:]] == [(FindingSeverity.WARNING, NO_CONDITIONS)]
    assert "Contents" not in running.client.list_objects_v2(Bucket=bucket)


def test_credentials_that_only_read_are_a_problem(
    server: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = server("versitygw")
    bucket = running.make_bucket()
    name = f"reader-{uuid.uuid4().hex[:8]}"
    account = add_account(running, name)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    allow = {"Effect": "Allow", "Principal": {"AWS": [name]}, "Resource": resources}
    statements = [
        {**allow, "Action": ["s3:ListBucket"], "Resource": resources[:1]},
        {**allow, "Action": ["s3:GetObject"], "Resource": resources[1:]},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    running.client.put_bucket_policy(Bucket=bucket, Policy=policy)
    account.use(monkeypatch)
    (found,) = look(running.endpoint, bucket)
    assert found.severity is FindingSeverity.PROBLEM
    assert "denied" in found.summary.lower()
    assert account.secret_key not in f"{found}"


def test_a_bucket_that_is_not_there_is_a_problem(
    server: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = server("moto")
    running.use(monkeypatch)
    (found,) = look(running.endpoint, "not-there")
    assert found.severity is FindingSeverity.PROBLEM


def test_a_server_that_is_away_is_a_problem(server: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server("moto").use(monkeypatch)
    (found,) = look(f"http://127.0.0.1:{free_port()}", "models")
    assert found.severity is FindingSeverity.PROBLEM
