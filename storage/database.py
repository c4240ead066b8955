"""One pool of Postgres connections, opened at first use, and the one way to hold a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from storage.errors import StorageFull, StorageUnavailable

_DISK_FULL = "53100"


class Database:
    def __init__(self, url: str, *, pool_size: int = 20, application_name: str = "earshot") -> None:
        self.url = url
        self._pool_size = pool_size
        self._application_name = application_name

    @cached_property
    def engine(self) -> Engine:
        return create_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 3,
                "application_name": self._application_name,
                # A lost network must not hold a request for the kernel's default of hours.
                "keepalives_idle": 10,
                "keepalives_interval": 3,
                "keepalives_count": 3,
                "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000"
                " -c lock_timeout=15000",
            },
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commits at the end, rolls back on any error; Postgres's faults become StorageUnavailable or StorageFull."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, TimeoutError) as error:
            raise _translated(error) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StorageUnavailable("the database connection was lost") from error
            raise

    def ping(self) -> None:
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()


def _translated(error: Exception) -> Exception:
    cause = getattr(error, "orig", None)
    if isinstance(cause, psycopg.Error) and cause.sqlstate == _DISK_FULL:
        return StorageFull("the disk of the database is full")
    return StorageUnavailable(f"the database does not answer ({type(cause or error).__name__})")
