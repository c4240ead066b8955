"""Statements past the libraries: what each piece of each upload asks.

SQLAlchemy and the driver's cursors take longer than the server to give one row. The statements are written in the
library's terms all the same; its connections run them in its transactions, and a `Line` by themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql.compiler import SQLCompiler

_NAMED = dialect.dialect()  # type: ignore[no-untyped-call]
# What was prepared is no longer there, or would give rows of another kind since a migration.
_OUTDATED = (b"26000", b"0A000")
_NUMBERED = dialect.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Line:
    """A connection in autocommit that asks libpq itself; for one thread at a time.

    The lock of the interpreter is let go once for a whole statement, not at each turn of the driver's protocol.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """`connection` is in autocommit and used by nobody else from now on."""
        self._connection = connection
        self._pq = connection.pgconn
        self._transformer = Transformer(connection)
        # By text and types of the parameters.
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}

    @property
    def is_free(self) -> bool:
        """Whether it lives, as far as it knows, and is in no transaction."""
        return self._pq.status == ConnStatus.OK and self._pq.transaction_status == TransactionStatus.IDLE

    def answers(self) -> bool:
        """Asks the server."""
        try:
            return self._pq.exec_(b"").status == ExecStatus.EMPTY_QUERY
        except psycopg.Error:
            return False

    def run(self, text: bytes, given: Sequence[Any]) -> PGresult:
        """`text` has `$1` for the first of what is `given`. Raises psycopg.Error."""
        values = self._transformer.dump_sequence(given, [PyFormat.BINARY] * len(given))
        known = (text, self._transformer.types or ())
        name = self._prepared.get(known) or self._prepare(*known)
        # As text Postgres would write each byte as two digits.
        result = self._pq.exec_prepared(name, values, self._transformer.formats, Format.BINARY)  # type: ignore[arg-type]
        return self._checked(result)

    def rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, text: bytes, types: tuple[int, ...]) -> bytes:
        name = b"earshot_%d" % len(self._prepared)
        self._checked(self._pq.prepare(name, text, types))
        self._prepared[text, types] = name
        return name

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return result
        if self._pq.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message() or "the connection was lost")
        if result.error_field(DiagnosticField.SQLSTATE) in _OUTDATED:
            self.close()
        raise psycopg.errors.error_from_result(result)


Session = Connection | Line


class Statement:
    """Put together once; values are given in Python's types, and rows come back as tuples."""

    def __init__(self, statement: ClauseElement) -> None:
        named, numbered = statement.compile(dialect=_NAMED), statement.compile(dialect=_NUMBERED)
        assert isinstance(named, SQLCompiler)
        assert isinstance(numbered, SQLCompiler)
        self._named, self._numbered = str(named), str(numbered).encode()
        self._places = numbered.positiontup or []
        self._fixed = {name: bind.value for bind, name in named.bind_names.items() if not bind.required}

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What it selects or returns."""
        if isinstance(session, Line):
            return session.rows(self._run_on(session, values))
        return self._execute(session, values).fetchall()

    def changed(self, session: Session, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        if isinstance(session, Line):
            return self._run_on(session, values).command_tuples or 0
        return self._execute(session, values).rowcount

    def _run_on(self, line: Line, values: Mapping[str, Any]) -> PGresult:
        known = {**self._fixed, **values} if self._fixed else values
        return line.run(self._numbered, [known[name] for name in self._places])

    def _execute(self, session: Connection, values: Mapping[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        driver = session.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.execute(self._named, {**self._fixed, **values}, prepare=True, binary=True)
