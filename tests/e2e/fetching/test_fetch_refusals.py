"""`kubeserve-fetch` that can't: which code and reason it leaves, and that it leaves nothing else."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runtime.fetch.transfer import PART
from tests.support.network.fault_proxy import fault_proxy
from tests.support.network.tls import Authority
from tests.support.runtime.fetching import Place, finished
from tests.support.runtime.versions import Version
from tests.support.stores.s3_servers import S3Server, add_account, free_port


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "requirements.txt"])
def test_wrong_bytes_in_the_store_are_a_digest_mismatch(place: Place, server: S3Server, name: str) -> None:
    server.client.put_object(Bucket=place.bucket, Key=place.key(name), Body=b"not what was pinned")
    reason = place.fetch()
    assert reason["code"] == "digest_mismatch"
    assert f"s3://{place.bucket}/{place.key(name)}: expected sha256 " in reason["reason"]


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_missing_object_is_named(place: Place, server: S3Server, name: str) -> None:
    server.client.delete_object(Bucket=place.bucket, Key=place.key(name))
    reason = place.fetch()
    assert reason["code"] == "object_absent"
    assert place.key(name) in reason["reason"]


def test_a_missing_bucket_is_named(place: Place) -> None:
    reason = place.fetch(KUBESERVE_STORE_BUCKET="there-is-none")
    assert reason["code"] == "bucket_absent"
    assert "s3://there-is-none/" in reason["reason"]


def test_an_endpoint_without_a_server_is_unreachable(any_place: Place) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    reason = any_place.fetch(KUBESERVE_STORE_ENDPOINT=endpoint)
    assert reason["code"] == "unreachable"
    assert endpoint in reason["reason"]
    assert "network policy" in reason["reason"]


def test_a_certificate_of_an_unknown_authority_is_not_trusted(any_place: Place) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as stranger:
        context = Authority.create(any_place.root).server_context("127.0.0.1")
        stranger.socket = context.wrap_socket(stranger.socket, server_side=True)
        thread = threading.Thread(target=stranger.serve_forever, args=(0.02,))
        thread.start()
        reason = any_place.fetch(KUBESERVE_STORE_ENDPOINT=f"https://127.0.0.1:{stranger.server_port}")
        stranger.shutdown()
        thread.join()
    assert reason["code"] == "untrusted"
    assert "AWS_CA_BUNDLE" in reason["reason"]


def test_no_credentials_are_access_denied(any_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    reason = any_place.fetch()
    assert reason["code"] == "access_denied"
    assert "storeAccess" in reason["reason"]


def test_another_tenants_prefix_is_denied_and_the_own_is_not(
    versitygw: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versitygw.use(monkeypatch)
    bucket, own, others = versitygw.make_bucket(), Version(b"m"), Version(b"m", tenant="risk")
    for version in (own, others):
        version.put(versitygw.store(bucket))
    account = add_account(versitygw, "tenant-fraud")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [account.access_key]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/models/fraud/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    versitygw.client.put_bucket_policy(Bucket=bucket, Policy=policy)
    account.use(monkeypatch)
    with fault_proxy(account) as proxy:
        assert Place(proxy, bucket, own, tmp_path / "own").fetch() == {}
        reason = Place(proxy, bucket, others, tmp_path / "others").fetch()
    assert reason["code"] == "access_denied"
    assert f"s3://{bucket}/models/risk/churn" in reason["reason"]


def test_a_wrong_key_is_access_denied_and_repeated_nowhere(
    versitygw: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versitygw.use(monkeypatch)
    bucket, version = versitygw.make_bucket(), Version(b"m")
    version.put(versitygw.store(bucket))
    with fault_proxy(versitygw.account("nobody-known", "hunter2-secret")) as proxy:
        code, output = finished(Place(proxy, bucket, version, tmp_path).start())
    reason = (tmp_path / "reason").read_text()
    assert code == 1
    assert json.loads(reason)["code"] == "access_denied"
    assert "nobody-known" not in output + reason
    assert "hunter2" not in output + reason


def test_a_full_disk_is_said_and_mended_by_more_room(any_place: Place) -> None:
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({PART + 1}, {PART + 1}))"
    process = any_place.start(code=f"import resource, runtime.fetch.command; {limit}; runtime.fetch.command.main()")
    assert finished(process)[0] == 1
    assert json.loads((any_place.root / "reason").read_text())["code"] == "disk_full"
    assert any_place.fetch() == {}
