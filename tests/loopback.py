"""Tests reach nothing but loopback."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest


class NetworkForbidden(AssertionError):
    """A test wanted to leave the machine."""


def refuse_the_network(patch: pytest.MonkeyPatch) -> None:
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            # Callers close it for errors of the network only.
            self.close()
            raise NetworkForbidden(f"a test must not connect to {address}")
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        # A number asks no name server; what it names is checked when somebody connects.
        if name and not _is_loopback(name) and not _is_number(name):
            raise NetworkForbidden(f"a test must not look up {name}")
        return lookup(host, *rest, **options)

    return guarded


def _is_loopback(host: str) -> bool:
    # What an HTTP client sees of a proxy or a user is never a name that resolves elsewhere.
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_number(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
