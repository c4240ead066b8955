"""HTTP/1.1 with one server over connections that stay open: a head and a body out, a status and the content back.

Python's own client parses each answer as if it were a letter, and the pool above it does as much again: together more
than half of the processor time of an upload's PUT. Here the parser is the one that the API's server has.
"""

import socket
import ssl
import struct
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Self
from urllib.parse import urlsplit

import httptools
from urllib3.util.wait import wait_for_read

Body = bytes | list[bytes] | BinaryIO
_READ_BYTES = 256 * 1024
# POSIX promises 16; Linux and macOS take 1,024.
_MOST_PIECES = 1024


class Answer:
    """What `feed` makes of a server's bytes: nothing until it `is_whole`. `headers` have lower-case names."""

    def __init__(self) -> None:
        self.is_whole = False
        self.status = 0
        self.version = ""
        self.headers: dict[bytes, bytes] = {}
        self.content = b""
        self._pieces: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def stays_open(self) -> bool:
        return self.version == "1.1" and b"close" not in self.headers.get(b"connection", b"").lower()

    def feed(self, data: bytes) -> None:
        """Raises OSError for what is no HTTP, or more than one answer."""
        if self._parser is None:
            raise OSError("the server sent more than its answer")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise OSError("the server's answer is no HTTP") from error
        if self.is_whole:
            self._parser = None

    # The parser calls these.

    def on_message_begin(self) -> None:
        if self.is_whole:
            raise OSError("the server sent more than its answer")
        self.headers, self._pieces = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """One below 200 only says that the answer is still to come."""
        assert self._parser is not None
        self.status, self.version = self._parser.get_status_code(), self._parser.get_http_version()
        self.content, self.is_whole = b"".join(self._pieces), self.status >= 200


@dataclass(frozen=True)
class Origin:
    """Of a URL; `host` is as it is signed: without the port that goes without saying."""

    name: str
    port: int
    host: str
    is_secure: bool

    @classmethod
    def of(cls, url: str) -> Self:
        parts = urlsplit(url)
        is_secure = parts.scheme == "https"
        host = parts.netloc.removesuffix(":443" if is_secure else ":80")
        return cls(parts.hostname or "", parts.port or (443 if is_secure else 80), host, is_secure)


class Wire:
    """Safe to share between threads. `tls` is asked for a context when the origin is https."""

    def __init__(
        self, origin: Origin, *, connect_s: float, read_s: float, keep: int, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        self._origin = origin
        self._connect_s, self._read_s = connect_s, read_s
        self._tls = tls
        self._keep = keep
        self._idle: deque[socket.socket] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def ask(self, head: bytes, body: Body = b"", size: int = 0) -> Answer:
        """One request, `head` with its empty line and a `body` of `size` bytes, a file's from its start. OSError when
        it did not go well: the server may or may not have done what was asked."""
        connection = self._taken() or self._connected()
        try:
            answer = _exchanged(connection, head, body, size)
        except BaseException:
            connection.close()
            raise
        if answer.stays_open and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _taken(self) -> socket.socket | None:
        """One that waits, and that the server has not closed meanwhile: that would show as something to read."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not wait_for_read(connection, 0):
                return connection
            connection.close()

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((self._origin.name, self._origin.port), self._connect_s)
        # Head and body may be sent one after the other: without this the end of a body waits 40 ms for a delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._origin.is_secure:
            connection = self._tls().wrap_socket(connection, server_hostname=self._origin.name)
            connection.settimeout(self._read_s)
        else:
            _bound(connection, self._read_s)
        return connection


def _close_all(idle: deque[socket.socket]) -> None:
    while idle:
        idle.pop().close()


def _bound(connection: socket.socket, patience_s: float) -> None:
    """The system itself ends a call that waits too long: Python would ask it before each whether it has to wait."""
    connection.settimeout(None)
    patience = struct.pack("ll", int(patience_s), int(patience_s % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)


def _exchanged(connection: socket.socket, head: bytes, body: Body, size: int) -> Answer:
    if isinstance(body, bytes | list):
        _send(connection, [head, body] if isinstance(body, bytes) else [head, *body])
    else:
        connection.sendall(head)
        if _send_file(connection, body, size) != size:
            raise OSError("the file ended before its size")
    answer = Answer()
    while not answer.is_whole:
        received = connection.recv(_READ_BYTES)
        if not received:
            raise ConnectionError("the server ended the connection before its answer")
        answer.feed(received)
    return answer


def _send_file(connection: socket.socket, file: BinaryIO, size: int) -> int:
    """How many bytes of it were there. Not by the socket's own `sendfile`: that takes the system's "waited too long"
    for "not yet", and waits for ever."""
    sent = 0
    file.seek(0)
    while piece := file.read(min(_READ_BYTES, size - sent)):
        connection.sendall(piece)
        sent += len(piece)
    return sent


def _send(connection: socket.socket, pieces: list[bytes]) -> None:
    """In one call, where the connection knows one for several pieces and the system takes all of them."""
    sent = 0
    if not isinstance(connection, ssl.SSLSocket) and len(pieces) <= _MOST_PIECES:
        sent = connection.sendmsg(pieces)
    for piece in pieces:
        if sent < len(piece):
            connection.sendall(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))
