"""Statements for the driver itself: what each piece of each upload asks.

The library takes longer than the driver and the server together to give them one row. They are written in its terms
all the same, and run on its connections: in the transaction, from the pool.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql.compiler import SQLCompiler

Session = Connection | psycopg.Connection[Any]
_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """Put together once; values are given in Python's types, and rows come back as tuples."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self._text = str(compiled)
        self._fixed = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What it selects or returns."""
        return self._run(session, values).fetchall()

    def changed(self, session: Session, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        return self._run(session, values).rowcount

    def _run(self, session: Session, values: Mapping[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        # As text Postgres would write each byte as two digits.
        return _driver(session).execute(self._text, {**self._fixed, **values}, prepare=True, binary=True)


def _driver(session: Session) -> psycopg.Connection[Any]:
    if isinstance(session, psycopg.Connection):
        return session
    driver = session.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver
