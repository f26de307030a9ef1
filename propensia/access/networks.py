"""Addresses and networks: where a request really comes from, and whether it is in a list.

It must never believe a header that somebody other than a trusted proxy may have written.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", ""})
LONGEST = 64
"""Of the text of an address, with zone and port; whatever is longer is none."""

LONGEST_HOST = 253 + len(".:65535")
"""Of a ``Host`` header that could name this machine (RFC 1035, 2.3.4)."""

# RFC 3986, 3.2.2 and 3.2.3: an address of IPv6 in brackets, or a name; then perhaps a port.
_host = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]+?)\.?)(?::[0-9]*)?").fullmatch


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


def holds(networks: Networks, address: Address | None) -> bool:
    """Whether an address is in one of these networks; one that is not known is in none."""
    return address is not None and any(address in network for network in networks)


def holder(networks: Networks, address: Address | None) -> str | None:
    """The first of these networks that has the address, as text; ``None`` without one."""
    found = (network for network in networks if address is not None and address in network)
    return next(map(str, found), None)


class Place(NamedTuple):
    """The other end of a connection. ``is_near``: on this machine."""

    address: Address | None
    is_near: bool


def place(remote: str) -> Place:
    """Where a connection comes from; nowhere, for what is no address."""
    # Senders must not fill the cache.
    return _place(remote) if len(remote) <= LONGEST else Place(None, False)


def sender(remote: str, forwarded: str, trusted: Networks) -> Address | None:
    """The address that a request really comes from, through proxies.

    ``remote`` is the other end of the connection; ``forwarded`` the header ``X-Forwarded-For``,
    empty where only another header tells of a proxy. Read from the right: the first address that
    is no trusted proxy. ``None`` where a proxy that is not trusted stands between, or for what is
    no address.
    """
    address = place(remote).address
    chain: Sequence[str] = forwarded.split(",")
    for item in reversed(chain):
        if not holds(trusted, address):
            return None
        address = place(_without_port(item.strip())).address
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


@functools.lru_cache(maxsize=4096)
def _place(text: str) -> Place:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return Place(None, False)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return Place(address, address.is_loopback)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach that address or name."""
    return host == "localhost" or place(host).is_near


def host_name(host: str) -> str | None:
    """The name in a ``Host`` header (RFC 9110, 7.2), in small letters, without its port and
    without the dot that may end a whole name; ``None`` for what is no host."""
    found = _host(host.lower())
    if found is None:
        return None if host else ""
    name: str = found[1] or found[2]
    return name


def is_local_name(host: str, own: str) -> bool:
    """Whether a browser that sends this ``Host`` header means this machine, or its ``own`` name:
    any other may be one that points here only to get around the browser's own rules (DNS
    rebinding)."""
    return len(host) <= LONGEST_HOST and _is_local_name(host, own)


@functools.lru_cache(maxsize=256)  # programs send the same with every request
def _is_local_name(host: str, own: str) -> bool:
    return host_name(host) in {*LOCAL_NAMES, own.lower()}
