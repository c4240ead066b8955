"""Which addresses a webhook may lead to: nothing but the public internet."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

Resolve = Callable[[str, int], Sequence[str]]
# Addresses that carry another one inside, where a private one could hide.
_CARRIERS = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "::/96",
        "2002::/16",
        "2001::/32",
    )
)
# All that is public so far in the newer protocol; the rest is for later, for one site, or documentation.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
# What not every version of the library knows to be special.
_SPECIAL = tuple(ipaddress.ip_network(network) for network in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20"))
_LONGEST_URL = 2000


class AddressRefused(Exception):
    """The address is not one that webhooks may be sent to; the message says why."""


def check_url(url: str, *, allow_loopback: bool) -> str:
    """The URL as it will be called. What its name leads to is looked up, and judged, when something is sent."""
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").encode("idna").decode() if parts.hostname else "", parts.port
    except (ValueError, UnicodeError):
        raise AddressRefused("this is no URL") from None
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(f"a URL has at most {_LONGEST_URL} visible ASCII characters")
    if parts.scheme != "https" and not (allow_loopback and parts.scheme == "http"):
        raise AddressRefused("the URL must begin with https://")
    if not host or parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL must name a host, and no user")
    if (number := _number(host)) is not None:
        check(number, allow_loopback=allow_loopback)
    elif (host == "localhost" or host.endswith(".localhost")) and not allow_loopback:
        raise AddressRefused("this is the machine itself")
    return url


def check(address: str, *, allow_loopback: bool) -> None:
    """Raises AddressRefused for all but public addresses."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if allow_loopback and found.is_loopback:
        return
    if isinstance(found, ipaddress.IPv6Address) and any(found in carrier for carrier in _CARRIERS):
        raise AddressRefused(f"{address} stands for another address")
    if not _is_public(found):
        raise AddressRefused(f"{address} is not a public address")


def _is_public(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(found, ipaddress.IPv6Address) and found not in _PUBLIC_V6:
        return False
    special = found.is_multicast or found.is_reserved or found.is_unspecified
    return found.is_global and not special and not any(found in network for network in _SPECIAL)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _number(host: str) -> str | None:
    """What system libraries take for an address, also 0x7f.1 and 2130706433."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
