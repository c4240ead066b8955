"""The object store on servers that are away, hang, break off or ignore what they were asked."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from storage.errors import ObjectMissing, StorageFull, StorageUnavailable
from storage.objects import ObjectStore
from tests.stack import S3, storage_settings

BODY = bytes(range(256))


class Server:
    """Answers each connection with the same bytes, then closes it; with None it never answers."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        # Ended by the close of the listener.
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.requests += 1
                self._open.append(connection)
                self._reply(connection)

    def _reply(self, connection: socket.socket) -> None:
        if self._answer is not None:
            with suppress(OSError):
                connection.recv(65_536)
                connection.sendall(self._answer)
                connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        # accept() does not notice a close from another thread.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._open):
            each.close()


@pytest.fixture
def serving() -> Iterator[Callable[[bytes | None], tuple[Server, ObjectStore]]]:
    servers: list[Server] = []

    def serve(answer: bytes | None) -> tuple[Server, ObjectStore]:
        servers.append(Server(answer))
        return servers[-1], ObjectStore(storage_settings(S3(servers[-1].url, "access", "secret"), "voices"))

    yield serve
    for server in servers:
        server.close()


Serving = Callable[[bytes | None], tuple[Server, ObjectStore]]


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    length = [] if "Content_Length" in headers else [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *length, "", ""]).encode() + body


def refusal(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return answer(status, body, Content_Type="application/xml")


def put(store: ObjectStore) -> None:
    store.put("a/b", BODY, size=len(BODY), content_type="audio/mp4")


def test_a_server_that_is_away_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    store = ObjectStore(storage_settings(S3(url, "access", "secret"), "voices"))
    for call in (
        lambda: put(store),
        lambda: store.get("a/b"),
        lambda: store.read("a/b"),
        lambda: store.head("a/b"),
        lambda: list(store.list("a/")),
        lambda: store.delete(["a/b"]),
        lambda: store.delete_prefix("a/"),
        lambda: store.ping(1),
        store.ensure_bucket,
        store.object_lock,
    ):
        with pytest.raises(StorageUnavailable):
            call()


def test_a_server_that_hangs_does_not_hold_a_ping(serving: Serving) -> None:
    server, store = serving(None)
    with pytest.raises(StorageUnavailable):
        store.ping(0.2)
    assert server.requests == 1


def test_a_server_that_fails_is_asked_again_and_then_unavailable(serving: Serving) -> None:
    server, store = serving(refusal("503 Slow Down", "SlowDown"))
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        put(store)
    assert server.requests == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [("507 Insufficient Storage", "InsufficientStorage"), ("400 Bad Request", "XMinioStorageFull")],
)
def test_a_full_server_is_told_from_a_broken_one(serving: Serving, status: str, code: str) -> None:
    _, store = serving(refusal(status, code))
    with pytest.raises(StorageFull):
        put(store)


def test_a_refusal_to_delete_one_of_many_is_not_overlooked(serving: Serving) -> None:
    body = (
        b"<DeleteResult><Error><Key>a/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>"
    )
    _, store = serving(answer("200 OK", body, Content_Type="application/xml"))
    with pytest.raises(StorageUnavailable, match="AccessDenied"):
        store.delete(["a/b"])


def test_a_missing_key_is_no_outage(serving: Serving) -> None:
    _, store = serving(refusal("404 Not Found", "NoSuchKey"))
    for call in (store.get, store.read):
        with pytest.raises(ObjectMissing):
            call("a/b")


def test_a_body_that_ends_early_is_never_taken_for_the_whole(serving: Serving) -> None:
    _, store = serving(answer("200 OK", BODY[:100], Content_Length="256"))
    with store.get("a/b") as stream, pytest.raises(StorageUnavailable):
        stream.read()
    with pytest.raises(StorageUnavailable):
        store.read("a/b")


@pytest.mark.parametrize("asked", [(0, 0), (10, 19), (250, 400), (255, 255), (0, 255)])
def test_a_server_that_ignores_ranges_gives_the_asked_bytes_all_the_same(
    serving: Serving, asked: tuple[int, int]
) -> None:
    _, store = serving(answer("200 OK", BODY))
    with store.get("a/b", asked) as stream:
        assert stream.read() == BODY[asked[0] : asked[1] + 1]
        assert stream.total == 256


def test_a_server_that_ignores_ranges_has_no_bytes_after_the_end(serving: Serving) -> None:
    _, store = serving(answer("200 OK", BODY))
    with pytest.raises(ValueError, match="range"):
        store.get("a/b", (256, 300))


def test_making_a_store_asks_nobody(serving: Serving) -> None:
    server, _ = serving(None)
    time.sleep(0.05)
    assert server.requests == 0
