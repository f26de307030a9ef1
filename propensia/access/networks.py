"""Addresses and networks: where a request really comes from, and whether it is in a list.

It must never believe a header that somebody other than a trusted proxy may have written.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", ""})
LONGEST = 64
"""Of the text of an address, with zone and port; whatever is longer is none."""


class NetworkError(ValueError):
    """A text that is no list of networks; the text says which one."""


def listed(text: str) -> Networks:
    """The networks of a list with commas, as ``10.1.0.0/16, 192.168.1.7``. Raises
    ``NetworkError``."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(item, strict=False))
        except ValueError as error:
            raise NetworkError(f"{item!r} no es una red, por ejemplo 10.1.0.0/16") from error
    return tuple(found)


def holds(networks: Networks, address: Network | None) -> bool:
    """Whether an address is in one of these networks; one that is not known is in none."""
    return address is not None and any(address in network for network in networks)


def holder(networks: Networks, address: Network | None) -> str | None:
    """The first of these networks that has the address, as text; ``None`` without one."""
    found = (network for network in networks if address is not None and address in network)
    return next(map(str, found), None)


def sender(remote: str, forwarded: str | None, trusted: Networks) -> Network | None:
    """The address that a request really comes from.

    ``remote`` is the other end of the connection; ``forwarded`` the header ``X-Forwarded-For``
    (or any text, where another header tells of a proxy), ``None`` without one. Read from the
    right: the first address that is no trusted proxy. ``None`` where a proxy that is not trusted
    stands between, or for what is no address.
    """
    address = _address(remote)
    if forwarded is None:
        return address
    chain: Sequence[str] = forwarded.split(",")
    for item in reversed(chain):
        if not holds(trusted, address):
            return None
        address = _address(_without_port(item.strip()))
        if address is None:
            return None
        if not holds(trusted, address):
            return address
    return address


def _without_port(text: str) -> str:
    """Some proxies add the port: ``10.1.2.3:5123``, ``[2001:db8::7]:5123``."""
    if text[:1] == "[":
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _address(text: str) -> Network | None:
    return _parsed(text) if len(text) <= LONGEST else None  # senders must not fill the cache


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Network | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach that address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port (RFC 9110, 7.2); what is no host comes
    back as it is, and is no name that anybody has."""
    if host[:1] == "[":
        name, bracket, port = host[1:].partition("]")
        return name if name and bracket and port[:1] in ("", ":") else host
    return host.partition(":")[0] or host


def is_local_name(host: str, own: str) -> bool:
    """Whether a browser that asks for ``host`` means this machine: any other name may be one
    that points here only to get around the browser's own rules (DNS rebinding)."""
    return host in LOCAL_NAMES or host == own
