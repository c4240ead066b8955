"""The server under test, spoken to as plainly as possible: one connection per request, nothing retried."""

import base64
import http.client
import io
import random
import socket
import ssl
import struct
import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

VERSION = "1.0.0"
CHUNK = {"Content-Type": "application/offset+octet-stream"}
_PATIENCE_S = 15.0


class NotApplicable(Exception):
    """This statement can't be tried on this server, and why."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])

    @property
    def message_id(self) -> str | None:
        return self.headers.get("earshot-message-id")


@dataclass(frozen=True)
class Target:
    """`endpoint` takes the creations. `stored` gives the bytes of a finished upload's message, where we can look;
    `stranger` is another user's headers; `idle_s` the server's patience with a silent body."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    stranger: Mapping[str, str] | None = None
    idle_s: float | None = None
    stored: Callable[[str], bytes] | None = None

    @property
    def is_earshot(self) -> bool:
        return urlsplit(self.endpoint).path.rstrip("/").endswith("/v1/uploads")

    def request(
        self,
        method: str,
        url: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """A header that is None is left out."""
        connection = self._connection()
        sent = {"Tus-Resumable": VERSION, **self.headers, **(headers or {})}
        try:
            connection.request(
                method,
                urlsplit(url or self.endpoint).path,
                body,
                {name: value for name, value in sent.items() if value is not None},
            )
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def create(self, length: int, body: bytes | None = None, headers: Mapping[str, str | None] | None = None) -> Answer:
        sent = {"Upload-Length": str(length), "Upload-Metadata": self.encoded_metadata(), **(headers or {})}
        return self.request("POST", body=body, headers=sent)

    def created(self, length: int) -> str:
        """The URL of a new upload."""
        answer = self.create(length)
        assert answer.status == 201, answer
        return self.located(answer)

    def located(self, answer: Answer) -> str:
        return urljoin(self.endpoint, answer.headers["location"])

    def head(self, url: str) -> Answer:
        return self.request("HEAD", url)

    def patch(self, url: str, offset: int, body: bytes, headers: Mapping[str, str | None] | None = None) -> Answer:
        return self.request("PATCH", url, body, {**CHUNK, "Upload-Offset": str(offset), **(headers or {})})

    def offset(self, url: str) -> int:
        answer = self.head(url)
        assert answer.status in (200, 204), answer
        return answer.offset

    def offset_becomes(self, url: str, wanted: int) -> None:
        """The server may need a moment to see that a client is gone."""
        until = time.monotonic() + _PATIENCE_S
        while (found := self.offset(url)) != wanted:
            assert time.monotonic() < until, f"offset {found}, not {wanted}"
            time.sleep(0.05)

    def keeps(self, answer: Answer, body: bytes) -> None:
        """What ended an upload names its message, of these bytes, where the server makes messages."""
        if self.is_earshot:
            assert answer.message_id
            if self.stored:
                assert self.stored(answer.message_id) == body

    def encoded_metadata(self) -> str:
        pairs = {"filename": "voice.wav", "filetype": "audio/wav", **self.metadata}
        return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())

    def begun(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> socket.socket:
        """A request on a bare socket, with as much of its body as we choose."""
        parts = urlsplit(url)
        connection = self._socket()
        lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
        sent = {"Tus-Resumable": VERSION, **self.headers, **headers}
        lines += [f"{name}: {value}" for name, value in sent.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return connection

    def begun_patch(self, url: str, offset: int, length: int, body: bytes) -> socket.socket:
        """A PATCH that announces `length` bytes and has sent `body`."""
        headers = {**CHUNK, "Upload-Offset": str(offset), "Content-Length": str(length)}
        return self.begun("PATCH", url, headers, body)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.endpoint)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=_PATIENCE_S)

    def _socket(self) -> socket.socket:
        parts = urlsplit(self.endpoint)
        secure = parts.scheme == "https"
        plain = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), timeout=_PATIENCE_S)
        return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) if secure else plain


def answer_on(connection: socket.socket) -> Answer:
    """What the server says on a socket, read to its end."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return _answer(response)


def reset(connection: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def recording(size: int, seed: int = 1) -> bytes:
    """A WAV file of exactly `size` bytes (even, at least 44) of noise."""
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(random.Random(seed).randbytes(size - 44))
    return body.getvalue()


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())
