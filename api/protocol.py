"""HTTP as uvicorn speaks it, and what it leaves to us: a problem for what is no HTTP, an end to idle connections."""

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import Problem, problem_response

# How long a connection may go without a whole request head. Whoever still sends a body that was answered already
# (too large, idle for too long) has as long to stop: closed at once, he might not read the answer.
PATIENCE_S = 30.0


class _OneAtATime(FlowControl):
    """Reads on when the app has taken what was read before: the rest waits in the system's buffers, not in ours too."""

    def __init__(self, protocol: "ProblemProtocol", transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.has_untaken():
            super().resume_reading()


class _Lingering:
    """The transport as a response sees it. Closed while its request is still coming, it would answer the rest of that
    with a reset, and a client that is sending might never read what it was told.

    A head waits for what follows it within this turn of the loop: most answers are one packet then, not two.
    """

    def __init__(self, protocol: "ProblemProtocol") -> None:
        self._protocol = protocol
        self._has_begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun, self._head = True, data
            self._protocol.loop.call_soon(self._send_head)
        else:
            head, self._head = self._head, b""
            self._protocol.transport.write(head + data)

    def close(self) -> None:
        self._send_head()
        self._protocol.close_when_heard()

    def _send_head(self) -> None:
        if self._head:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol.transport, name)


class ProblemProtocol(HttpToolsProtocol):
    _ending: asyncio.TimerHandle | None = None
    _is_lingering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _OneAtATime(self, transport)
        self._end_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.has_untaken():
            self.flow.pause_reading()
        if self.cycle is not None and not self.cycle.response_complete:
            self._go_on()
        elif self._ending is None:
            self._end_later()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = _Lingering(self)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """What comes alone is passed on as it is: into a bytearray and out of it again it would be copied twice."""
        if not self.cycle.body:
            self.cycle.body = b""  # type: ignore[assignment]
        elif isinstance(self.cycle.body, bytes):
            self.cycle.body = bytearray(self.cycle.body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._is_lingering:
            self.transport.close()

    def close_when_heard(self) -> None:
        """At once when the request has come whole, else when it has, or when the client's time is up."""
        if self.transport.is_closing() or not self.cycle.more_body:
            self.transport.close()
        else:
            self._is_lingering = True
            self.transport.write_eof()

    def has_untaken(self) -> bool:
        """Part of a body that the app has not taken yet, and may still want."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and bool(cycle.body) and cycle.more_body

    def send_400_response(self, msg: str) -> None:
        answer = problem_response(Problem("invalid_request", "this is not a valid HTTP request", status=400))
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()

    def _end_later(self) -> None:
        self._ending = self.loop.call_later(PATIENCE_S, self.transport.close)

    def _go_on(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
