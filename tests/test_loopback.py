"""The guard around the tests themselves."""

import socket

import httpx
import pytest

from tests.loopback import NetworkForbidden


def test_no_test_leaves_the_machine() -> None:
    with pytest.raises(NetworkForbidden):
        httpx.get("http://192.0.2.1/")
    with pytest.raises(NetworkForbidden):
        httpx.get("http://example.org/")


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80)
