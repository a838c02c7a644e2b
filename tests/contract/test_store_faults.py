"""A network that breaks between the store and its server: puts and fetches recover, or fail clearly and leave nothing.

A proxy in between does the breaking. moto stores whatever arrives; versitygw checks what it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.artifacts.protocol import StoreError
from reconciler.artifacts.s3.store import S3Store
from runtime.manifest import MANIFEST_NAME, verify_folder
from tests.support.network.fault_proxy import Break, Fault, FaultProxy, fault_proxy
from tests.support.runtime.versions import MIB, MODEL, Version, some_bytes
from tests.support.stores.rooms import cached
from tests.support.stores.s3_servers import S3Server

SMALL = Version(b"\x08 a model", b"numpy\n")
LARGE = Version(some_bytes(18 * MIB))
OTHER = Version(b"\x08 another model")

BREAKS = (Break.DROP_REQUEST, Break.DROP_ANSWER, Break.FLIP_REQUEST)
FOR_EVER = 1_000

# versitygw would find that a header is lacking which was signed.
CONDITIONS = pytest.mark.parametrize(
    ("proxy", "breaks"),
    [("moto", None), ("moto", Break.STRIP_CONDITION), ("versitygw", None)],
    indirect=["proxy"],
    ids=["moto", "moto ignoring conditions", "versitygw"],
)


@pytest.fixture(params=["moto", "versitygw"])
def proxy(
    request: pytest.FixtureRequest, s3_servers: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    server = s3_servers(request.param)
    server.use(monkeypatch)
    with fault_proxy(server) as proxy:
        yield proxy


@pytest.fixture
def bucket(proxy: FaultProxy) -> str:
    return proxy.upstream.make_bucket()


@pytest.fixture
def store(proxy: FaultProxy, bucket: str) -> S3Store:
    return proxy.server.store(bucket)


@pytest.mark.parametrize(
    ("breaks", "version", "method", "path"),
    [
        *((breaks, SMALL, "PUT", MODEL) for breaks in BREAKS),
        *((breaks, SMALL, "PUT", MANIFEST_NAME) for breaks in BREAKS),
        *((breaks, LARGE, "PUT", "partNumber=2") for breaks in BREAKS),
        *((breaks, LARGE, "POST", "uploadId=") for breaks in (Break.DROP_REQUEST, Break.DROP_ANSWER)),
    ],
)
def test_a_put_survives_a_request_that_breaks(
    proxy: FaultProxy, store: S3Store, breaks: Break, version: Version, method: str, path: str, tmp_path: Path
) -> None:
    fault = proxy.add(Fault(breaks, method, path))
    steps: list[int] = []
    version.put(store, steps.append)
    assert fault.times == 0
    assert sum(steps) == sum(map(len, version.files.values()))
    assert verify_folder(store.fetch(version.ref, tmp_path), version.ref.digest)


def test_an_upload_that_keeps_breaking_fails_and_leaves_nothing(proxy: FaultProxy, store: S3Store, bucket: str) -> None:
    proxy.add(Fault(Break.DROP_REQUEST, "PUT", "partNumber=2", times=FOR_EVER))
    with pytest.raises(StoreError, match="unreachable") as caught:
        LARGE.put(store)
    assert caught.value.retryable
    assert store.list("fraud") == []
    assert "Uploads" not in proxy.upstream.client.list_multipart_uploads(Bucket=bucket)


def test_bytes_that_always_arrive_damaged_are_never_taken_for_stored(proxy: FaultProxy, store: S3Store) -> None:
    proxy.add(Fault(Break.FLIP_REQUEST, "PUT", MODEL, times=FOR_EVER))
    with pytest.raises(StoreError, match=r"damaged on their way|not what was sent|not accepted"):
        SMALL.put(store)
    assert store.list("fraud") == []


def test_a_busy_server_is_waited_for(proxy: FaultProxy, store: S3Store) -> None:
    fault = proxy.add(Fault(method="PUT", path=MODEL, answer=(503, "SlowDown")))
    SMALL.put(store)
    assert fault.times == 0
    assert store.list("fraud") == [SMALL.ref]


def test_credentials_that_expire_in_the_middle_say_so(proxy: FaultProxy, store: S3Store) -> None:
    proxy.add(Fault(method="PUT", path="partNumber=2", answer=(400, "ExpiredToken"), times=FOR_EVER))
    with pytest.raises(StoreError, match="Credentials have expired"):
        LARGE.put(store)
    assert store.list("fraud") == []


def test_a_full_store_says_so(proxy: FaultProxy, store: S3Store) -> None:
    proxy.add(Fault(method="PUT", path=MODEL, answer=(507, "XMinioStorageFull"), times=FOR_EVER))
    with pytest.raises(StoreError, match="No space left"):
        SMALL.put(store)


def test_a_write_conflict_on_the_manifest_is_tried_again(proxy: FaultProxy, store: S3Store) -> None:
    fault = proxy.add(Fault(method="PUT", path=MANIFEST_NAME, answer=(409, "ConditionalRequestConflict"), times=2))
    SMALL.put(store)
    assert fault.times == 0
    assert store.list("fraud") == [SMALL.ref]


def test_a_server_without_conditional_writes_will_do(proxy: FaultProxy, store: S3Store) -> None:
    fault = proxy.add(Fault(method="PUT", path=MANIFEST_NAME, answer=(501, "NotImplemented")))
    SMALL.put(store)
    assert fault.times == 0
    assert store.list("fraud") == [SMALL.ref]


@CONDITIONS
def test_a_twin_that_completes_in_the_last_moment_is_joined(
    proxy: FaultProxy, store: S3Store, bucket: str, breaks: Break | None, tmp_path: Path
) -> None:
    twin = proxy.upstream.store(bucket)
    fault = proxy.add(Fault(breaks, "PUT", MANIFEST_NAME, before=lambda: write_manifest(proxy, bucket, SMALL)))
    SMALL.put(store)
    assert fault.times == 0
    assert twin.list("fraud") == [SMALL.ref]
    twin.fetch(SMALL.ref, tmp_path)


@CONDITIONS
def test_of_two_digests_in_the_last_moment_the_later_one_withdraws(
    proxy: FaultProxy, store: S3Store, bucket: str, breaks: Break | None
) -> None:
    proxy.add(Fault(breaks, "PUT", MANIFEST_NAME, before=lambda: write_manifest(proxy, bucket, OTHER)))
    with pytest.raises(StoreError, match="already stored with another digest"):
        SMALL.put(store)
    assert store.list("fraud") == [OTHER.ref]
    left = proxy.upstream.client.list_objects_v2(Bucket=bucket, Prefix=f"models/{SMALL.ref.folder}")
    assert left["KeyCount"] == 0


def test_another_digest_that_completes_during_the_upload_is_found_before_anything_is_visible(
    proxy: FaultProxy, store: S3Store, bucket: str
) -> None:
    proxy.add(Fault(method="PUT", path="partNumber=1", before=lambda: write_manifest(proxy, bucket, OTHER)))
    with pytest.raises(StoreError, match="already stored with another digest"):
        LARGE.put(store)
    assert not any(request.startswith("PUT") and MANIFEST_NAME in request for request in proxy.seen)


def test_uploads_that_were_killed_long_ago_are_ended(proxy: FaultProxy, bucket: str, store: S3Store) -> None:
    client = proxy.upstream.client
    client.create_multipart_upload(Bucket=bucket, Key=f"models/{LARGE.ref.folder}{MODEL}")
    is_old = client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["Initiated"].year == 2010  # moto says of all
    SMALL.put(store)
    assert ("Uploads" not in client.list_multipart_uploads(Bucket=bucket)) == is_old


@pytest.mark.parametrize("breaks", [Break.DROP_REQUEST, Break.CUT_ANSWER, Break.FLIP_ANSWER])
@pytest.mark.parametrize("version", [SMALL, LARGE], ids=["small", "large"])
def test_a_fetch_survives_an_answer_that_breaks(
    proxy: FaultProxy, store: S3Store, breaks: Break, version: Version, tmp_path: Path
) -> None:
    version.put(store)
    fault = proxy.add(Fault(breaks, "GET", MODEL))
    folder = store.fetch(version.ref, tmp_path)
    assert fault.times == 0
    assert verify_folder(folder, version.ref.digest) == version.manifest


@pytest.mark.parametrize("version", [SMALL, LARGE], ids=["small", "large"])
def test_a_fetch_that_always_comes_damaged_fails_and_leaves_nothing(
    proxy: FaultProxy, store: S3Store, version: Version, tmp_path: Path
) -> None:
    version.put(store)
    proxy.add(Fault(Break.FLIP_ANSWER, "GET", MODEL, times=FOR_EVER))
    with pytest.raises(StoreError, match="not those that were pinned") as caught:
        store.fetch(version.ref, tmp_path)
    assert f"{MODEL}: expected sha256 {version.manifest.artifact.sha256}" in caught.value.detail
    assert cached(tmp_path) == []


def test_a_fetch_that_always_breaks_fails_and_goes_on_where_it_was(
    proxy: FaultProxy, store: S3Store, tmp_path: Path
) -> None:
    SMALL.put(store)
    proxy.seen.clear()
    fault = proxy.add(Fault(Break.CUT_ANSWER, "GET", "requirements.txt", times=FOR_EVER))
    with pytest.raises(StoreError, match="unreachable"):
        store.fetch(SMALL.ref, tmp_path)
    fault.times = 0
    store.fetch(SMALL.ref, tmp_path)
    assert len([request for request in proxy.seen if request.startswith("GET") and MODEL in request]) == 1


def test_what_was_fetched_is_used_again_without_asking_the_server(
    proxy: FaultProxy, store: S3Store, tmp_path: Path
) -> None:
    SMALL.put(store)
    folder = store.fetch(SMALL.ref, tmp_path)
    before = len(proxy.seen)
    assert store.fetch(SMALL.ref, tmp_path) == folder
    assert len(proxy.seen) == before


def test_a_cache_that_was_damaged_is_fetched_anew(store: S3Store, tmp_path: Path) -> None:
    SMALL.put(store)
    folder = store.fetch(SMALL.ref, tmp_path)
    (folder / MODEL).write_bytes(b"damaged")
    assert (store.fetch(SMALL.ref, tmp_path) / MODEL).read_bytes() == SMALL.model


def test_a_stream_that_breaks_goes_on_where_it_broke(proxy: FaultProxy, store: S3Store, bucket: str) -> None:
    from reconciler.artifacts.s3.bucket import Bucket
    from reconciler.artifacts.s3.client import S3Settings

    LARGE.put(store)
    fault = proxy.add(Fault(Break.CUT_ANSWER, "GET", MODEL, times=2))
    source = Bucket(bucket, S3Settings(proxy.server.endpoint, path_style=True))
    with source.open(f"models/{LARGE.ref.folder}{MODEL}") as chunks:
        assert b"".join(chunks) == LARGE.model
    assert fault.times == 0


def write_manifest(proxy: FaultProxy, bucket: str, version: Version) -> None:
    """Another writer's last step, past the proxy."""
    client = proxy.upstream.client
    for name, data in version.files.items():
        client.put_object(Bucket=bucket, Key=f"models/{version.ref.folder}{name}", Body=data)
    key = f"models/{version.ref.folder}{MANIFEST_NAME}"
    client.put_object(Bucket=bucket, Key=key, Body=version.manifest.to_bytes())
