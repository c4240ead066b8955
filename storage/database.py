"""One pool of Postgres connections, opened at first use, and the one way to hold a transaction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from storage.errors import StorageFull, StorageUnavailable

_DISK_FULL = "53100"
# A server takes longer than this to go and come back.
_TRUSTED_S = 0.5
_OUTAGES = (OperationalError, InterfaceError, TimeoutError, psycopg.OperationalError, psycopg.InterfaceError)
_HASTY = text("SET LOCAL synchronous_commit = off")


class Database:
    def __init__(self, url: str, *, pool_size: int = 20, application_name: str = "earshot") -> None:
        self.url = url
        self._pool_size = pool_size
        self._application_name = application_name
        # When a connection was last found to be lost: others that rested then may be so too.
        self._lost_at = float("-inf")

    @cached_property
    def engine(self) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=10,
            # The one that was used last has its statements prepared, and needs no question whether it still lives.
            pool_use_lifo=True,
            # Errors go to logs, which hold nothing of what people say and write.
            hide_parameters=True,
            connect_args={
                "connect_timeout": 3,
                "application_name": self._application_name,
                # A lost network must not hold a request for the kernel's default of hours.
                "keepalives_idle": 10,
                "keepalives_interval": 3,
                "keepalives_count": 3,
                # Those don't count while something that was sent is not acknowledged.
                "tcp_user_timeout": 20_000,
                "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000"
                " -c lock_timeout=15000",
            },
        )
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", self._ping_rested)
        return engine

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

    @contextmanager
    def driver(self) -> Iterator[psycopg.Connection[Any]]:
        """`writing` for one `Statement`, by the driver alone: the library takes longer to lend a connection."""
        with self._translating():
            lent = self.engine.raw_connection()
            driver = lent.driver_connection
            assert isinstance(driver, psycopg.Connection)
            try:
                driver.autocommit = True
                yield driver
            finally:
                _give_back(lent, driver)

    @cached_property
    def _autocommitting(self) -> Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def ping(self) -> None:
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    def _ping_rested(self, connection: Any, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        """Asks whether the server is still there, unless the connection was in use just now. DisconnectionError makes
        the pool try another one."""
        now = time.monotonic()
        rests_since = record.info.get("rests_since", now)
        if rests_since < max(now - _TRUSTED_S, self._lost_at):
            try:
                connection.execute("")
                connection.rollback()
            except psycopg.Error as error:
                self._lost_at = now
                raise DisconnectionError from error

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except _OUTAGES as error:
            self._lost_at = time.monotonic()
            raise _translated(error) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                self._lost_at = time.monotonic()
                raise StorageUnavailable("the database connection was lost") from error
            raise


def _note_rest(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["rests_since"] = time.monotonic()


def _give_back(lent: PoolProxiedConnection, driver: psycopg.Connection[Any]) -> None:
    """As it was lent; what broke or is in the middle of something is thrown away."""
    try:
        driver.autocommit = False
    except psycopg.Error:
        lent.invalidate()
    lent.close()


def _translated(error: Exception) -> Exception:
    cause = getattr(error, "orig", error)
    if isinstance(cause, psycopg.Error) and cause.sqlstate == _DISK_FULL:
        return StorageFull("the disk of the database is full")
    return StorageUnavailable(f"the database does not answer ({type(cause).__name__})")
