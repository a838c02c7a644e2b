"""Which addresses of the network a remote artifact may come from. Called by `remote.py`, which connects to what was
checked here and asks no name server again.
"""

from __future__ import annotations

import ipaddress
import socket

from reconciler.sources.protocol import SourceError
from specs.names import quoted

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


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


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
