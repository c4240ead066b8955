"""Connections that bring nothing, or never stop, end; those that are in use do not."""

import http.client
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Person, Server
from tests.tus_conformance.target import CHUNK, Target, answer_on, recording


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.protocol.PATIENCE_S", 0.6)


@pytest.fixture
def tus(server: Server, alice: Person, thread: str) -> Target:
    return Target(f"{server.url}/v1/uploads", {"Authorization": alice.headers["authorization"]}, {"thread_id": thread})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", [b"\r\n", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: "])
def test_a_connection_that_brings_no_request_is_closed(server: Server, begun: bytes) -> None:
    with _connected(server) as connection:
        connection.sendall(begun)
        assert _dribbled_until_closed(connection, b"\r\n" if begun == b"\r\n" else b"a")


@pytest.mark.usefixtures("impatient")
def test_so_is_one_whose_next_request_never_comes_whole(server: Server) -> None:
    with _connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(connection).status == 200
        connection.sendall(b"GET /heal")
        assert _dribbled_until_closed(connection)


@pytest.mark.usefixtures("impatient")
def test_who_goes_on_sending_what_was_answered_is_cut_off(tus: Target) -> None:
    silent, endless, announced = tus.created(1000), tus.created(1000), tus.created(1000)
    with tus.begun_patch(silent, 0, 1000, b"RIFF") as connection:
        assert answer_on(connection).status == 408
        assert _dribbled_until_closed(connection)
    chunked = {**CHUNK, "Upload-Offset": "0", "Transfer-Encoding": "chunked"}
    with tus.begun("PATCH", endless, chunked, b"%x\r\n" % 2**40 + recording(1000)) as connection:
        assert (answer := answer_on(connection)).status == 204
        assert answer.offset == 1000
        assert _dribbled_until_closed(connection)
    with tus.begun_patch(announced, 0, 2**40, b"RIFF") as connection:
        assert answer_on(connection).status == 413
        assert _dribbled_until_closed(connection)
    assert (tus.offset(silent), tus.offset(endless), tus.offset(announced)) == (4, 1000, 0)


@pytest.mark.usefixtures("impatient")
def test_who_takes_his_time_within_a_request_is_not(tus: Target) -> None:
    url, body = tus.created(2000), recording(2000)
    with tus.begun_patch(url, 0, 2000, b"") as connection:
        for start in range(0, 2000, 500):
            connection.sendall(body[start : start + 500])
            time.sleep(0.4)
        assert answer_on(connection).offset == 2000


def test_a_connection_whose_body_was_refused_takes_the_next_request(server: Server, alice: Person, thread: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=10)
    too_much = bytes(server.services.ingest.max_bytes + 1)
    path = f"/v1/threads/{thread}/voice-messages"
    for body, status in ((too_much, 413), (recording(1000), 201)):
        connection.request("POST", path, body, {"Authorization": alice.headers["authorization"]})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


@pytest.mark.parametrize("head", ["HTTP/1.1\r\nConnection: close", "HTTP/1.0"])
def test_who_is_refused_while_he_sends_and_wants_no_more_hears_why(
    server: Server, alice: Person, thread: str, head: str
) -> None:
    too_much = bytes(server.services.ingest.max_bytes + 1)
    lines = f"\r\nHost: x\r\nAuthorization: {alice.headers['authorization']}\r\nContent-Length: {len(too_much)}\r\n\r\n"
    with _connected(server) as connection:
        connection.sendall(f"POST /v1/threads/{thread}/voice-messages {head}{lines}".encode())
        for start in range(0, len(too_much), 1_000_000):
            connection.sendall(too_much[start : start + 1_000_000])
        answer = answer_on(connection)
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert connection.recv(1) == b""


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10)


def _dribbled_until_closed(connection: socket.socket, drop: bytes = b"a") -> bool:
    """Some drops, as from a client that wants to keep the connection, and whether it was closed meanwhile."""
    for _ in range(40):
        with suppress(TimeoutError):
            connection.settimeout(0.2)
            try:
                connection.sendall(drop)
                if not connection.recv(65_536):
                    return True
            except (ConnectionResetError, BrokenPipeError):
                return True
    return False
