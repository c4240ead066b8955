"""Requests over connections that stay open, to servers that answer in every way: by threads, and by an event loop."""

import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest

from storage.exchange import Exchange
from storage.wire import Answer, Origin
from tests import stack
from tests.storage.answering import HEAD, OK, Client, Looped, Server, hang_up, looped, make_certificate, wire

EARLY = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
Connecting = Callable[..., Client]
Serving = Callable[..., tuple[Server, Client]]


@pytest.fixture(params=["threads", "loop"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connecting]:
    loops: list[Looped] = []

    def make(
        port: int,
        scheme: str = "http",
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        read_s: float = 5,
    ) -> Client:
        if request.param == "threads":
            return wire(port, scheme, tls, read_s)
        origin = Origin.of(f"{scheme}://localhost:{port}/x")
        loops.append(Looped(Exchange(origin, connect_s=5, answer_s=read_s, most=4, tls=tls)))
        return loops[-1]

    yield make
    for each in loops:
        each.close()


@pytest.fixture
def serving(connect: Connecting) -> Iterator[Serving]:
    servers: list[Server] = []
    clients: list[Client] = []

    def serve(*answers: bytes | None, brief: bool = False) -> tuple[Server, Client]:
        servers.append(Server(list(answers), brief=brief))
        clients.append(connect(servers[-1].port))
        return servers[-1], clients[-1]

    yield serve
    while clients:
        hang_up(clients.pop())
    for server in servers:
        server.close()


def head(size: int) -> bytes:
    return HEAD.replace(b"/a", b"/a%d" % size)


def test_a_connection_is_used_again(serving: Serving) -> None:
    server, client = serving(OK, OK, OK)
    for _ in range(3):
        answer = client.ask(head(0))
        assert (answer.status, answer.content, answer.headers[b"etag"]) == (200, b"ok", b"x")
    assert server.connections == 1


@pytest.mark.parametrize(
    "last", [OK.replace(b"ETag: x", b"Connection: close"), OK.replace(b"1.1", b"1.0")], ids=["close", "1.0"]
)
def test_one_that_the_server_will_end_is_not(serving: Serving, last: bytes) -> None:
    server, client = serving(last, None, OK)
    assert client.ask(head(0)).content == b"ok"
    with pytest.raises(OSError, match="ended"):
        client.ask(head(0))
    assert client.ask(head(0)).content == b"ok"
    assert server.connections >= 2


def test_one_that_the_server_has_ended_is_replaced_before_it_is_used(serving: Serving) -> None:
    server, client = serving(OK, OK, brief=True)
    assert client.ask(head(0)).content == b"ok"
    stack.wait_until(lambda: server.ended == 1)
    assert client.ask(head(0)).content == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [OK[:-1], OK[:20], b"", b"SSH-2.0-here\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok"],
    ids=["a byte less", "half a head", "nothing", "no HTTP", "no last chunk"],
)
def test_what_is_not_a_whole_answer_is_none(serving: Serving, answer: bytes) -> None:
    _, client = serving(answer, brief=True)
    with pytest.raises(OSError):
        client.ask(head(0))


def test_what_comes_before_an_answer_is_not_taken_for_it(serving: Serving) -> None:
    """Nor is the answer for that to the next request."""
    _, client = serving(EARLY + OK, OK.replace(b"200", b"500"))
    assert [client.ask(head(0)).status for _ in range(2)] == [200, 500]


@pytest.mark.parametrize("cut", range(0, len(EARLY + OK), 7))
def test_an_answer_is_whole_with_its_last_byte(cut: int) -> None:
    answer, bytes_ = Answer(), EARLY + OK
    answer.feed(bytes_[:cut])
    assert not answer.is_whole
    answer.feed(bytes_[cut:])
    assert (answer.is_whole, answer.status, answer.content, answer.headers[b"etag"]) == (True, 200, b"ok", b"x")
    assert b"link" not in answer.headers


@pytest.mark.parametrize("more", [OK, b"x", b"HTTP/1.1 101 Now\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"])
def test_more_than_an_answer_is_none(more: bytes) -> None:
    answer = Answer()
    with pytest.raises(OSError):
        answer.feed(more if b"101" in more else OK + more)


def test_an_answer_in_chunks_is_put_together(serving: Serving) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    _, client = serving(chunked)
    assert client.ask(head(0)).content == b"abc"


@pytest.mark.parametrize("size", [1, 300_000, 5_000_000])
def test_a_body_arrives_as_it_is_from_memory_and_from_a_file_wherever_that_stands(
    serving: Serving, size: int, tmp_path: Path
) -> None:
    server, client = serving(OK, OK, OK)
    body, path = os.urandom(size), tmp_path / "body"
    path.write_bytes(body)
    client.ask(head(size), body)
    with path.open("rb", buffering=0) as file:
        file.seek(size // 2)
        client.ask(head(size), file, size)
    client.ask(head(size), io.BytesIO(body), size)
    assert [got.partition(b"\r\n\r\n")[2] == body for got in server.received] == [True] * 3


@pytest.mark.parametrize(("count", "size"), [(3, 100_000), (100, 50_000), (3000, 100), (5000, 1)])
def test_a_body_in_pieces_arrives_in_their_order(serving: Serving, count: int, size: int) -> None:
    server, client = serving(OK)
    pieces = [os.urandom(size) for _ in range(count)]
    client.ask(head(count * size), [*pieces, b""], count * size)
    assert server.received[0].partition(b"\r\n\r\n")[2] == b"".join(pieces)


@pytest.mark.parametrize("kind", ["nothing", "bytes", "pieces", "file", "file in memory"])
def test_a_server_that_does_not_read_or_answer_is_waited_for_no_longer_than_told(
    kind: str, tmp_path: Path, connect: Connecting
) -> None:
    size = 0 if kind == "nothing" else 50_000_000
    path = tmp_path / "body"
    path.write_bytes(bytes(size))
    failed: list[OSError] = []
    with socket.create_server(("127.0.0.1", 0)) as mute, path.open("rb") as file:
        impatient = connect(mute.getsockname()[1], read_s=1)
        body = {"pieces": [bytes(size)], "file": file, "file in memory": io.BytesIO(bytes(size))}.get(kind, bytes(size))

        def ask() -> None:
            try:
                impatient.ask(head(size), body, size)
            except OSError as error:
                failed.append(error)

        asking = Thread(target=ask, daemon=True)
        asking.start()
        asking.join(30)
        assert not asking.is_alive()
    assert len(failed) == 1


def test_one_that_reads_after_a_while_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system did not take in time is sent once more, from where it stopped."""
    server = Server([OK])
    take = server._request

    def late(connection: socket.socket) -> bytes:
        time.sleep(1.5)
        return take(connection)

    monkeypatch.setattr(server, "_request", late)
    pieces = [os.urandom(1_000_000) for _ in range(20)]
    wire(server.port, read_s=1).ask(head(20_000_000), pieces, 20_000_000)
    assert server.received[0].partition(b"\r\n\r\n")[2] == b"".join(pieces)
    server.close()


def test_a_loop_waits_for_an_answer_as_a_whole() -> None:
    """One that comes byte by byte would keep it for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(looped(listener, read_s=1)) as client:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                for byte in OK[:-1]:
                    connection.send(bytes([byte]))
                    time.sleep(0.2)

        dripping = Thread(target=drip)
        dripping.start()
        with pytest.raises(OSError):
            client.ask(head(0))
        dripping.join(30)
        assert not dripping.is_alive()


def test_a_loop_opens_no_more_connections_than_told() -> None:
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(looped(listener)) as client:

        def answer_each() -> None:
            with suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    Thread(target=answer, args=[connections[-1]], daemon=True).start()

        def answer(connection: socket.socket) -> None:
            while connection.recv(1000):
                time.sleep(0.05)
                connection.sendall(OK)

        Thread(target=answer_each, daemon=True).start()
        asking = [client.begin(head(1), [b"x"]) for _ in range(12)]
        assert {asked.result(30).status for asked in asking} == {200}
        listener.shutdown(socket.SHUT_RDWR)
    assert len(connections) == 4
    for connection in connections:
        connection.close()


def test_a_loop_that_is_closed_ends_a_connection_in_use_after_its_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(looped(listener)) as client:
        asking = client.begin(head(1), [b"x"])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(1000)
            client.hang_up()
            time.sleep(0.1)
            connection.sendall(OK)
            assert asking.result(10).status == 200
            while connection.recv(1000):
                pass


def test_a_file_that_is_shorter_than_it_was_is_no_body(tmp_path: Path) -> None:
    server = Server([OK])
    client = wire(server.port)
    path = tmp_path / "short"
    path.write_bytes(b"four")
    with path.open("rb") as file, pytest.raises(OSError, match="before its size"):
        client.ask(head(4), file, 5)
    server.close()


def test_nobody_there_is_an_error(connect: Connecting) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError):
        connect(port).ask(HEAD)


@pytest.mark.parametrize("name", ["localhost", "elsewhere"])
def test_the_certificate_must_be_the_servers(tmp_path: Path, name: str, connect: Connecting) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(name, certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server([OK, OK], context)
    believing = connect(server.port, "https", lambda: ssl.create_default_context(cafile=certificate))
    try:
        with pytest.raises(ssl.SSLError):
            connect(server.port, "https").ask(head(0))
        if name == "localhost":
            assert [believing.ask(head(5), b"hello").content for _ in range(2)] == [b"ok", b"ok"]
            assert server.connections == 1
        else:
            with pytest.raises(ssl.SSLError):
                believing.ask(head(0))
    finally:
        hang_up(believing)
        del believing
        server.close()
