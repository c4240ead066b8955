"""Statements past the libraries: what each piece of each upload asks.

SQLAlchemy and the driver's cursors take longer than the server to give one row. The statements are written in the
library's terms all the same; its connections run them in its transactions, and lines (`storage.lines`) by themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql.compiler import SQLCompiler

_NAMED = dialect.dialect()  # type: ignore[no-untyped-call]
_NUMBERED = dialect.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
T = TypeVar("T")


class Statement:
    """Put together once; values are given in Python's types, and rows come back as tuples."""

    def __init__(self, statement: ClauseElement) -> None:
        named, numbered = statement.compile(dialect=_NAMED), statement.compile(dialect=_NUMBERED)
        assert isinstance(named, SQLCompiler)
        assert isinstance(numbered, SQLCompiler)
        self._named, self.numbered = str(named), str(numbered).encode()
        self._places = numbered.positiontup or []
        self._fixed = {name: bind.value for bind, name in named.bind_names.items() if not bind.required}

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What it selects or returns."""
        return self._execute(connection, values).fetchall()

    def changed(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        return self._execute(connection, values).rowcount

    def given(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of `$1`, `$2`, ... in `numbered`."""
        known = {**self._fixed, **values} if self._fixed else values
        return [known[name] for name in self._places]

    def _execute(self, connection: Connection, values: Mapping[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.execute(self._named, {**self._fixed, **values}, prepare=True, binary=True)


@dataclass(frozen=True)
class Query(Generic[T]):
    """A statement, its values, and what its rows mean. What `read` raises leaves done what the statement did, unless a
    transaction is around it."""

    statement: Statement
    values: Mapping[str, Any]
    read: Callable[[list[tuple[Any, ...]]], T]

    def on(self, connection: Connection) -> T:
        return self.read(self.statement.rows(connection, self.values))
