"""The lines of one process: a handful of connections for single statements, waited for by the event loop.

Beside the library's pool and without a thread: to lend a connection and to take it back takes the library longer than
the statement, and threads that wait for many short answers spend more time on handing the interpreter to one another.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from storage.driver import Query
from storage.errors import StorageUnavailable

# What was prepared is no longer there, or would give rows of another kind since a migration.
_OUTDATED = (b"26000", b"0A000")
# The server itself ends a statement before this (`statement_timeout`), unless it hangs as a whole.
_ANSWER_S = 40.0
T = TypeVar("T")


class Line:
    """A connection in autocommit that asks libpq itself; for one question at a time, in the loop that made it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """`connection` is in autocommit and used by nobody else from now on."""
        self._connection = connection
        self._pq = connection.pgconn
        self._pq.nonblocking = 1
        self._socket = self._pq.socket
        self._transformer = Transformer(connection)
        # By text and types of the parameters.
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        # None is given twice: who gave up waiting may have left one there.
        self._names = (b"earshot_%d" % number for number in count())
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._on_readable)

    @property
    def is_free(self) -> bool:
        """Whether it lives, as far as it knows, and is in no transaction."""
        return (
            self._is_open and self._pq.status == ConnStatus.OK and self._pq.transaction_status == TransactionStatus.IDLE
        )

    async def rows(self, text: bytes, given: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What the statement gives back; `text` has `$1` for the first of what is `given`. Raises psycopg.Error."""
        values = self._transformer.dump_sequence(given, [PyFormat.BINARY] * len(given))
        types, formats = self._transformer.types or (), self._transformer.formats
        name = self._prepared.get((text, types)) or await self._prepare(text, types)
        # As text Postgres would write each byte as two digits.
        self._pq.send_query_prepared(name, values, formats, Format.BINARY)
        result = await self._answered()
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def close(self) -> None:
        # Once: the number of its socket may be another's afterwards.
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._connection.close()

    async def _prepare(self, text: bytes, types: tuple[int, ...]) -> bytes:
        name = next(self._names)
        self._pq.send_prepare(name, text, types)
        await self._answered()
        self._prepared[text, types] = name
        return name

    async def _answered(self) -> PGresult:
        answer = self._answer = self._loop.create_future()
        if self._pq.flush():
            # The system takes no more for now.
            self._loop.add_writer(self._socket, self._on_writable)
        patience = self._loop.call_later(_ANSWER_S, self._give_up)
        try:
            return self._checked(await answer)
        finally:
            self._answer = None
            patience.cancel()

    def _on_writable(self) -> None:
        try:
            if not self._pq.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._fail(error)

    def _on_readable(self) -> None:
        try:
            self._pq.consume_input()
            while not self._pq.is_busy():
                result = self._pq.get_result()
                if result is None:
                    return self._end()
                self._result = result
        except psycopg.Error as error:
            self._fail(error)

    def _end(self) -> None:
        result, self._result = self._result, None
        if self._answer is not None and result is not None and not self._answer.done():
            self._answer.set_result(result)

    def _give_up(self) -> None:
        self._fail(psycopg.OperationalError("no answer came"))

    def _fail(self, error: psycopg.Error) -> None:
        """The connection is lost: it would be readable from now on."""
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(psycopg.OperationalError(str(error)))

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return result
        if self._pq.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message() or "the connection was lost")
        if result.error_field(DiagnosticField.SQLSTATE) in _OUTDATED:
            self.close()
        raise psycopg.errors.error_from_result(result)


class Lines:
    """For one event loop. Connections are opened at need, in a thread."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], *, most: int, patience_s: float) -> None:
        self._connect = connect
        # Our own: what opens can be closed though nobody waits for it any more, which the loop's would forget.
        self._openers = ThreadPoolExecutor(most, thread_name_prefix="lines")
        self._is_open = True
        self._patience_s = patience_s
        self._free = asyncio.Semaphore(most)
        # The one that was used last is taken first: its statements are prepared.
        self._resting: deque[Line] = deque()

    async def run(self, query: Query[T]) -> T:
        """As a transaction of its own. Raises StorageUnavailable when all lines are in use for too long, and
        psycopg.Error."""
        await self._wait()
        try:
            line = self._rested() or await self._opened()
            try:
                rows = await line.rows(query.statement.numbered, query.statement.given(query.values))
            finally:
                self._rest(line)
        finally:
            self._free.release()
        return query.read(rows)

    def close(self) -> None:
        """At once what rests, and what is in use as soon as it has its answer."""
        self._is_open = False
        self._openers.shutdown(wait=False)
        while self._resting:
            self._resting.pop().close()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError:
            raise StorageUnavailable("all connections to the database are in use") from None

    def _rested(self) -> Line | None:
        while self._resting:
            line = self._resting.pop()
            if line.is_free:
                return line
            line.close()
        return None

    async def _opened(self) -> Line:
        if not self._is_open:
            raise StorageUnavailable("the connections to the database were closed")
        opening = self._openers.submit(self._connect)
        try:
            return Line(await asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            # Nobody waits for it any more, and it may still come.
            opening.add_done_callback(_close)
            raise

    def _rest(self, line: Line) -> None:
        """What broke, or is in the middle of something, is thrown away."""
        if self._is_open and line.is_free:
            self._resting.append(line)
        else:
            line.close()


def _close(opened: Future[psycopg.Connection[Any]]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
