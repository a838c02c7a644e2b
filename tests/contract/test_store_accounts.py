"""Accounts and bucket policies: what credentials may not do fails clearly, and says nothing secret.

On versitygw, which enforces both; the last tests need no server, or any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reconciler.artifacts.protocol import StoreError
from reconciler.artifacts.s3.errors import AccessDeniedError
from tests.support.runtime.versions import Version
from tests.support.stores.s3_servers import S3Server, add_account, free_port

OURS = Version(b"\x08 ours")
THEIRS = Version(b"\x08 theirs", tenant="search")
NEW = Version(b"\x08 new", b"numpy\n", name="v2")

PUT = ["s3:GetObject", "s3:PutObject"]
READ = ["s3:GetObject"]


class Stored:
    """A bucket in which both tenants have a version, and accounts for it."""

    def __init__(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._monkeypatch = monkeypatch
        self.bucket = server.make_bucket()
        self.use(server)
        for version in (OURS, THEIRS):
            version.put(server.store(self.bucket))

    def account(self, actions: Sequence[str]) -> S3Server:
        """A new one that may do these things, and list, under fraud's prefix alone."""
        name = f"{self.bucket}-fraud"
        account = add_account(self._server, name)
        resource = f"arn:aws:s3:::{self.bucket}"
        objects = {"Action": actions, "Resource": [f"{resource}/models/fraud/*"]}
        listing = {
            "Action": ["s3:ListBucket"],
            "Resource": [resource],
            "Condition": {"StringLike": {"s3:prefix": ["models/fraud/*"]}},
        }
        statements = [{"Effect": "Allow", "Principal": {"AWS": [name]}} | part for part in (objects, listing)]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self._server.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))
        self.use(account)
        return account

    def use(self, account: S3Server) -> None:
        account.use(self._monkeypatch)


@pytest.fixture
def stored(s3_servers: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch) -> Stored:
    return Stored(s3_servers("versitygw"), monkeypatch)


def test_an_account_fenced_to_its_tenant_works_there(stored: Stored, tmp_path: Path) -> None:
    store = stored.account(PUT).store(stored.bucket)
    NEW.put(store)
    assert store.list("fraud") == [OURS.ref, NEW.ref]
    store.fetch(NEW.ref, tmp_path)


def test_an_account_fenced_to_its_tenant_sees_and_changes_nothing_of_another(stored: Stored, tmp_path: Path) -> None:
    store = stored.account(PUT).store(stored.bucket)
    refused: list[tuple[str, Callable[[], object]]] = [
        ("s3:ListBucket", lambda: store.list("search")),
        ("s3:GetObject", lambda: store.manifest(THEIRS.ref)),
        ("s3:GetObject", lambda: store.fetch(THEIRS.ref, tmp_path)),
        ("s3:ListBucket", lambda: Version(b"\x08", tenant="search", name="v9").put(store)),
        ("s3:DeleteObject", lambda: store.remove(THEIRS.ref)),
    ]
    for permission, ask in refused:
        with pytest.raises(AccessDeniedError, match="Access denied") as caught:
            ask()
        assert f"may not {permission} there" in caught.value.detail
        assert f"s3://{stored.bucket}/models/search/" in caught.value.detail


def test_an_account_that_may_only_read_fetches_and_can_not_write(stored: Stored, tmp_path: Path) -> None:
    account = stored.account(READ)
    store = account.store(stored.bucket)
    store.fetch(OURS.ref, tmp_path)
    with pytest.raises(AccessDeniedError, match="Access denied") as caught:
        NEW.put(store)
    assert "may not s3:PutObject there" in caught.value.detail
    assert account.secret_key not in str(caught.value)
    with pytest.raises(AccessDeniedError, match="Access denied"):
        store.remove(OURS.ref)
    assert store.list("fraud") == [OURS.ref]


@pytest.mark.parametrize("access_key", ["test-root", "nobody-of-that-name"])
def test_credentials_that_are_wrong_are_told_from_those_that_may_not(stored: Stored, access_key: str) -> None:
    wrong = stored.account(READ).account(access_key, "a-wrong-secret")
    stored.use(wrong)
    with pytest.raises(AccessDeniedError, match="Credentials are not accepted") as caught:
        wrong.store(stored.bucket).list("fraud")
    assert "AWS_ACCESS_KEY_ID" in caught.value.detail
    assert "a-wrong-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["moto", "rclone", "versitygw"])
def test_a_bucket_that_is_not_there_is_named(
    s3_servers: Callable[[str], S3Server], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = s3_servers(name)
    server.use(monkeypatch)
    for ask in (lambda store: store.list("fraud"), OURS.put):
        with pytest.raises(StoreError, match="No such bucket") as caught:
            ask(server.store("never-made"))
        assert "s3://never-made/" in caught.value.detail


def test_a_server_that_does_not_answer_is_named_and_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = S3Server(f"http://127.0.0.1:{free_port()}")
    server.use(monkeypatch)
    with pytest.raises(StoreError, match="unreachable") as caught:
        server.store("models", attempts=1).list("fraud")
    assert server.endpoint in caught.value.detail
    assert caught.value.retryable


def test_lacking_credentials_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = S3Server(f"http://127.0.0.1:{free_port()}")
    server.use(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="No credentials") as caught:
        server.store("models", attempts=1).list("fraud")
    assert "AWS_PROFILE" in caught.value.detail
