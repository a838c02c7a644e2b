"""Which addresses a remote artifact may come from."""

from __future__ import annotations

import pytest

from reconciler.sources.protocol import SourceError
from reconciler.sources.remote import open_remote
from reconciler.sources.remote_access import is_another_name_of, is_public, public_addresses
from specs.models.remote import RemotePolicy, StoreLocation


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.3",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_an_address_that_only_this_machine_or_network_reaches_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "::1", "169.254.169.254"])
def test_a_host_is_what_it_resolves_to_however_it_is_written(host: str) -> None:
    with pytest.raises(SourceError, match="inside a private network") as caught:
        public_addresses(host, 443, allow_private=False)
    assert "privateAddresses" in caught.value.detail
    assert not caught.value.retryable
    assert public_addresses(host, 443, allow_private=True)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "/etc/passwd"])
def test_only_https_and_s3_are_fetched_from(url: str) -> None:
    with pytest.raises(SourceError, match="Unsupported kind of URL"):
        open_remote(url, "0" * 64, policy=RemotePolicy("fraud"), max_bytes=1)


def test_a_url_with_a_credential_is_refused_and_not_repeated() -> None:
    url = "https://robot:hunter2@example.org/x?token=hunter2"
    content = open_remote(url, "0" * 64, policy=RemotePolicy("fraud"), max_bytes=1)
    with pytest.raises(SourceError, match="without credentials") as caught, content.open():
        pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["10.0.0.9", "::ffff:10.0.0.9"])
@pytest.mark.parametrize("address", ["10.0.0.9", "::ffff:10.0.0.9", "::ffff:a00:9"])
def test_an_ipv4_address_inside_an_ipv6_one_is_the_same_server(host: str, address: str) -> None:
    store = StoreLocation("ml-models", "models/", frozenset({host}))
    assert is_another_name_of(store, [address])
    assert not is_another_name_of(store, ["::ffff:10.0.0.8", "10.0.0.8"])
