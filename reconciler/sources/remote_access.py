"""What a download for a tenant may reach: the places that its grants name, and public addresses.

`remote.py` connects to the addresses that were checked here and asks no name server again; `desired/versions.py` checks
the URLs of specs before anything is fetched.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.sources.protocol import SourceError
from specs.models.remote import DEFAULT_GRANTS, RemotePolicy, StoreLocation, normal_host
from specs.names import quoted

if TYPE_CHECKING:
    from specs.models.platform import Platform

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def remote_policy(platform: Platform, tenant: str, environ: Mapping[str, str] = os.environ) -> RemotePolicy:
    """What a tenant may fetch. `environ` may name the endpoint of the store, as AWS tools read it."""
    grant = platform.tenants.get(tenant)
    store = platform.artifact_store
    location = None
    if store.type == "s3":
        endpoints = (store.endpoint, store.pod_endpoint, *map(environ.get, ENDPOINT_VARIABLES))
        hosts = frozenset(normal_host(urlsplit(url).hostname or "") for url in endpoints if url)
        location = StoreLocation(store.bucket, store.prefix, hosts)
    return RemotePolicy(tenant, grant.artifacts if grant else DEFAULT_GRANTS, location)


def is_another_name_of(location: StoreLocation, addresses: Iterable[str]) -> bool:
    """Whether some address is one of the store's endpoints. An endpoint that can't be resolved has none."""
    theirs: set[str] = set()
    for host in location.hosts:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        theirs.update(_unmapped(str(entry[4][0])) for entry in found)
    return not theirs.isdisjoint(map(_unmapped, addresses))


def public_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Every address of a host. SourceError when one of them is this machine, a private network, a link or its
    metadata service (unless they are allowed), or when there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise SourceError(
            "The host can't be found", f"{quoted(host)}: {reason}. Check its name and the network.", retryable=True
        ) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    private = [address for address in addresses if not is_public(address)]
    if private and not allow_private:
        raise SourceError(
            "The host is inside a private network",
            f"{quoted(host)} is {private[0]}: a spec could read through it what only this machine can reach. If that "
            "is meant, the operator writes `allow: {privateAddresses: true}` in platform.yaml.",
        )
    return addresses


def _unmapped(address: str) -> str:
    """The IPv4 address that ::ffff:192.0.2.1 connects to; any other address as it is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return str((ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None) or address)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    is_site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local  # fec0::/10, which `is_global` includes
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or is_site_local)
