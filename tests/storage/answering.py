"""A server that answers as it is told, a certificate for it, and the two kinds of clients under one name."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Protocol

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from storage.exchange import Exchange
from storage.wire import Answer, Body, Origin, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: x\r\n\r\nok"
HEAD = b"PUT /a HTTP/1.1\r\nHost: here\r\n\r\n"


class Server:
    """Answers each request of each connection with the next of `answers`; None closes the connection instead, and
    where it is `brief` so does every answer."""

    def __init__(self, answers: list[bytes | None], tls: ssl.SSLContext | None = None, brief: bool = False) -> None:
        self._brief = brief
        self._answers = iter(answers)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = self.ended = 0
        self.received: list[bytes] = []
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self.connections += 1
            # A client that gives up in the middle of a body resets the connection.
            with connection, suppress(ConnectionError):
                self._talk(connection)
            self.ended += 1

    def _talk(self, connection: socket.socket) -> None:
        while got := self._request(connection):
            self.received.append(got)
            answer = next(self._answers, None)
            if answer is None:
                return
            connection.sendall(answer)
            if self._brief:
                return

    def _request(self, connection: socket.socket) -> bytes:
        """A head, and as much of a body as its path says."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.recv(65_536)
            if not piece:
                return b""
            got += piece
        wanted = got.index(b"\r\n\r\n") + 4 + int(got.split()[1][2:] or 0)
        while len(got) < wanted:
            got += connection.recv(1 << 20)
        return got

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Client(Protocol):
    def ask(self, head: bytes, body: Body = b"", size: int = 0) -> Answer: ...


class Looped:
    """An Exchange, asked from outside its loop. What is in a file is read first."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._loop = uvloop.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def ask(self, head: bytes, body: Body = b"", size: int = 0) -> Answer:
        if not isinstance(body, bytes | list):
            body.seek(0)
            body = body.read()
        return self.begin(head, body if isinstance(body, list) else [body]).result()

    def begin(self, head: bytes, pieces: list[bytes]) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(self._exchange.ask(head, pieces), self._loop)

    def hang_up(self) -> None:
        self._loop.call_soon_threadsafe(self._exchange.close)

    def close(self) -> None:
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def looped(listener: socket.socket, read_s: float = 5) -> Looped:
    origin = Origin.of(f"http://localhost:{listener.getsockname()[1]}")
    return Looped(Exchange(origin, connect_s=5, answer_s=read_s, most=4, tls=ssl.create_default_context))


def hang_up(client: Client) -> None:
    """A wire ends its connections itself, when nobody has it any more."""
    if isinstance(client, Looped):
        client.hang_up()


def wire(
    port: int, scheme: str = "http", tls: Callable[[], ssl.SSLContext] = ssl.create_default_context, read_s: float = 5
) -> Wire:
    return Wire(Origin.of(f"{scheme}://localhost:{port}/x"), connect_s=5, read_s=read_s, keep=4, tls=tls)


def make_certificate(name: str, certificate: Path, key: Path) -> None:
    private, whose = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(whose, whose, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(made.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(private.private_bytes(pem, *plain))
