"""The connections to Postgres, opened at first use, and the one way to hold a transaction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from storage.driver import Query
from storage.errors import StorageFull, StorageUnavailable
from storage.lines import Lines

_DISK_FULL = "53100"
OUTAGES = (OperationalError, InterfaceError, TimeoutError, psycopg.OperationalError, psycopg.InterfaceError)
_HASTY = text("SET LOCAL synchronous_commit = off")
# How long to wait for one of our connections, in seconds.
_PATIENCE_S = 10
_TRUSTED_S = 0.5
_CONNECT_ARGS = {
    "connect_timeout": 3,
    # A lost network must not hold a request for the kernel's default of hours.
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    # Those don't count while something that was sent is not acknowledged.
    "tcp_user_timeout": 20_000,
    "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 -c lock_timeout=15000",
}


T = TypeVar("T")


class Trust:
    """Which connections may be used unasked after a rest."""

    def __init__(self) -> None:
        self._lost_at = float("-inf")

    def lose(self) -> None:
        """One was found to be lost: others that rested then may be so too."""
        self._lost_at = time.monotonic()

    def covers(self, since: float) -> bool:
        """One that rests `since` then (monotonic seconds): a server takes longer than this to go and come back."""
        return since >= max(time.monotonic() - _TRUSTED_S, self._lost_at)


class Database:
    def __init__(self, url: str, *, pool_size: int = 14, lines: int = 8, application_name: str = "earshot") -> None:
        """At most `pool_size` connections for the library, and as many `lines` for an event loop."""
        self.url = url
        self._pool_size = pool_size
        self._lines = lines
        self._application_name = application_name
        self._trust = Trust()
        self._is_open = True

    @cached_property
    def engine(self) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=_PATIENCE_S,
            # The one that was used last has its statements prepared, and needs no question whether it still lives.
            pool_use_lifo=True,
            # Errors go to logs, which hold nothing of what people say and write.
            hide_parameters=True,
            connect_args=self._connect_args,
        )
        event.listen(engine, "checkin", self._rest)
        event.listen(engine, "checkout", self._ping_rested)
        return engine

    @cached_property
    def lines(self) -> Lines:
        return Lines(self._connect, most=self._lines, patience_s=_PATIENCE_S)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """Commits at the end, rolls back on any error; Postgres's faults become StorageUnavailable or StorageFull.

        One that need not be `durable` does not wait for the disk: a crash of the server within the next moments may
        undo it, as a whole and with all that came after it.
        """
        with self._translating(), self.engine.begin() as connection:
            if not durable:
                connection.execute(_HASTY)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For what only asks: each statement by itself, without the two round trips of a transaction around them."""
        with self._translating(), self._autocommitting.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """For what one statement writes: it is a transaction by itself, as durable as any other."""
        with self.reading() as connection:
            yield connection

    async def ask(self, query: Query[T]) -> T:
        """`writing` for one statement, without a thread; all calls come from one event loop."""
        try:
            return await self.lines.run(query)
        except OUTAGES as error:
            raise self.outage(error) from error

    @cached_property
    def _autocommitting(self) -> Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def ping(self) -> None:
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """At once what rests, and what is in use when it is given back."""
        self._is_open = False
        if "engine" in self.__dict__:
            self.engine.dispose()
        if "lines" in self.__dict__:
            self.lines.close()

    @property
    def _connect_args(self) -> dict[str, Any]:
        return {**_CONNECT_ARGS, "application_name": self._application_name}

    def _connect(self) -> psycopg.Connection[Any]:
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(url, autocommit=True, **self._connect_args)

    def _ping_rested(self, connection: Any, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        """Asks whether the server is still there, unless the connection was in use just now. DisconnectionError makes
        the pool try another one."""
        if not self._trust.covers(record.info.get("rests_since", time.monotonic())):
            try:
                connection.execute("")
                connection.rollback()
            except psycopg.Error as error:
                self._trust.lose()
                raise DisconnectionError from error

    def _rest(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()
        if not self._is_open:
            # The pool that it goes back to is nobody's any more.
            record.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except OUTAGES as error:
            raise self.outage(error) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise self.outage(error) from error
            raise

    def outage(self, error: Exception) -> StorageUnavailable | StorageFull:
        """What one of `OUTAGES` is to who asked; connections that rest are asked then whether they live."""
        self._trust.lose()
        return _translated(error)


def _translated(error: Exception) -> StorageUnavailable | StorageFull:
    cause = getattr(error, "orig", error)
    if isinstance(cause, psycopg.Error) and cause.sqlstate == _DISK_FULL:
        return StorageFull("the disk of the database is full")
    return StorageUnavailable(f"the database does not answer ({type(cause).__name__})")
