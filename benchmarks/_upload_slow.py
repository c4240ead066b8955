"""Connections that are held open by sending next to nothing: half of them within the headers, half within a body."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PAUSE_S = 1.0
# Until they are all let in: what they cost while they stay is measured, not their coming.
_SETTLING_S = 3.0


@contextmanager
def slow_connections(url: str, count: int, thread: str, authorization: dict[str, str]) -> Iterator[None]:
    parts = urlsplit(url)
    headers = "".join(f"{name}: {value}\r\n" for name, value in authorization.items())
    begun = f"POST /v1/threads/{thread}/voice-messages HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}"
    in_body = (begun + "Content-Length: 240000\r\n\r\nRIFF").encode()
    connections = [socket.create_connection((parts.hostname, parts.port)) for _ in range(count)]
    for number, connection in enumerate(connections):
        connection.sendall(in_body if number % 2 else begun.encode())
    done = threading.Event()
    dribble = threading.Thread(target=_dribble, args=(connections, done))
    dribble.start()
    time.sleep(_SETTLING_S)
    try:
        yield
    finally:
        done.set()
        dribble.join()
        for connection in connections:
            connection.close()


def _dribble(connections: list[socket.socket], done: threading.Event) -> None:
    while not done.wait(_PAUSE_S):
        for number, connection in enumerate(connections):
            with suppress(OSError):
                connection.sendall(b"\0" if number % 2 else b"X-Slow: yes\r\n")
