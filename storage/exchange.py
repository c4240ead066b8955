"""`storage.wire` for an event loop: short requests over connections that stay open, without a thread for each."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from storage.wire import Answer, Origin


class Exchange:
    """With one server, from one event loop. `tls` is asked for a context when the origin is https."""

    def __init__(
        self, origin: Origin, *, connect_s: float, answer_s: float, most: int, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        """At most so many connections; `answer_s` is for the whole of a request and its answer."""
        self._origin = origin
        self._connect_s, self._answer_s = connect_s, answer_s
        self._tls = tls
        self._free = asyncio.Semaphore(most)
        self._idle: deque[_Connection] = deque()
        self._is_open = True

    async def ask(self, head: bytes, body: Sequence[bytes] = ()) -> Answer:
        """OSError when it did not go well: the server may or may not have done what was asked."""
        async with self._free:
            connection = self._taken() or await self._connected()
            patience = asyncio.get_running_loop().call_later(self._answer_s, connection.close)
            try:
                answer = await connection.ask([head, *body])
            except BaseException:
                connection.close()
                raise
            finally:
                patience.cancel()
            if self._is_open and answer.stays_open and connection.is_quiet:
                self._idle.append(connection)
            else:
                connection.close()
            return answer

    def close(self) -> None:
        """At once what waits, and what is in use as soon as it has its answer."""
        self._is_open = False
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> "_Connection | None":
        """One that waits, and that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet:
                return connection
            connection.close()
        return None

    async def _connected(self) -> "_Connection":
        origin = self._origin
        tls = await asyncio.to_thread(self._tls) if origin.is_secure else None
        async with asyncio.timeout(self._connect_s):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, origin.name, origin.port, ssl=tls, server_hostname=origin.name if tls else None
            )
        return connection


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._answer = Answer()
        self._awaited: asyncio.Future[Answer] | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, all of what was asked is sent, and nothing came unasked."""
        return (
            self._awaited is None and not self._transport.is_closing() and not self._transport.get_write_buffer_size()
        )

    async def ask(self, pieces: Sequence[bytes]) -> Answer:
        self._answer = Answer()
        self._awaited = asyncio.get_running_loop().create_future()
        self._transport.writelines(pieces)
        try:
            return await self._awaited
        finally:
            self._awaited = None

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._awaited is None:
            return self.close()
        try:
            self._answer.feed(data)
        except OSError as error:
            return self._fail(error)
        if self._answer.is_whole and not self._awaited.done():
            self._awaited.set_result(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the server ended the connection before its answer"))

    def _fail(self, error: Exception) -> None:
        self._transport.abort()
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(error)
