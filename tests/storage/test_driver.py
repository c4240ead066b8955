"""Lines are lent as they were opened, or not at all."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Integer, bindparam, select, text

from storage.database import Database
from storage.driver import Statement
from storage.errors import StorageUnavailable
from storage.lines import Lines, Trust

DOUBLE = Statement(select(bindparam("number", type_=Integer) * 2))
MADE = Statement(text("INSERT INTO t VALUES (:a, :b)"))
BACK = Statement(text("SELECT CAST(:a AS bytea), CAST(:b AS text), CAST(:c AS bigint), CAST(:d AS timestamptz), :e"))
WRONG = Statement(text("SELECT 1/0"))
END = Statement(text("SELECT pg_terminate_backend(pg_backend_pid())"))
PID = Statement(text("SELECT pg_backend_pid()"))


@pytest.fixture
def alone(database_url: str) -> Database:
    """With one line, so that the next user has what the last one left."""
    return Database(database_url, pool_size=1, lines=1)


def pid(database: Database) -> int:
    with database.line() as line:
        return int(PID.rows(line, {})[0][0])


def test_a_statement_gives_the_same_with_and_without_the_library(alone: Database) -> None:
    with alone.line() as line:
        assert DOUBLE.rows(line, {"number": 21}) == [(42,)]
    with alone.reading() as connection:
        assert DOUBLE.rows(connection, {"number": 21}) == [(42,)]
    with alone.transaction() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE t (a int, b bytea) ON COMMIT DROP"))
        assert MADE.changed(connection, {"a": 1, "b": b"\0\xff"}) == 1
        assert connection.execute(text("SELECT b FROM t")).scalar_one() == b"\0\xff"
    with alone.line() as line:
        Statement(text("CREATE TEMPORARY TABLE t (a int, b bytea)")).changed(line, {})
        assert [MADE.changed(line, {"a": 1, "b": None}) for _ in range(3)] == [1, 1, 1]
        assert Statement(text("DELETE FROM t")).changed(line, {}) == 3
    alone.close()


def test_values_of_any_kind_and_none_at_all_come_back_as_they_were_given(alone: Database) -> None:
    moment = datetime(2026, 11, 26, 12, 0, 0, 123456, UTC)
    rows = [
        {"a": bytes(range(256)) * 4096, "b": "jö\n'%s' %% $1", "c": 2**62, "d": moment, "e": timedelta(hours=1)},
        {"a": None, "b": None, "c": None, "d": None, "e": timedelta(0)},
        {"a": b"", "b": "", "c": -1, "d": moment, "e": timedelta(days=-3)},
    ]
    with alone.line() as line, alone.reading() as connection:
        for row in [*rows, *rows]:
            assert BACK.rows(line, row) == [tuple(row.values())]
            assert BACK.rows(connection, row) == [tuple(row.values())]
    alone.close()


def test_what_is_raised_meanwhile_costs_no_line(alone: Database) -> None:
    before = pid(alone)
    with pytest.raises(KeyError), alone.line():
        raise KeyError
    with pytest.raises(psycopg.errors.DivisionByZero), alone.line() as line:
        WRONG.rows(line, {})
    assert pid(alone) == before
    alone.close()


def test_a_line_that_broke_is_told_as_an_outage_and_is_not_lent_again(alone: Database) -> None:
    before = pid(alone)
    with pytest.raises(StorageUnavailable), alone.line() as line:
        END.rows(line, {})
    assert (after := pid(alone)) != before
    with pytest.raises(psycopg.errors.DivisionByZero), alone.line() as line:  # noqa: PT012
        Statement(text("BEGIN")).changed(line, {})
        WRONG.rows(line, {})
    assert pid(alone) not in (before, after)
    with pytest.raises(StorageUnavailable), alone.reading() as connection:
        END.rows(connection, {})
    alone.close()


def test_a_statement_prepared_before_a_migration_fails_once_at_most(alone: Database) -> None:
    chosen = Statement(text("SELECT last FROM event_log"))
    for change in ("ALTER TABLE event_log ALTER last TYPE numeric", "DEALLOCATE ALL"):
        with alone.line() as line:
            chosen.rows(line, {})
            Statement(text(change)).changed(line, {})
        with pytest.raises(psycopg.Error), alone.line() as line:
            chosen.rows(line, {})
        with alone.line() as line:
            assert chosen.rows(line, {}) == [(0,)]
    alone.close()


def test_no_more_lines_are_opened_than_allowed_and_who_waits_too_long_is_told(alone: Database) -> None:
    lines = Lines(alone.lines.take, Trust(), most=1, patience_s=0.2)
    line = lines.take()
    with pytest.raises(StorageUnavailable):
        lines.take()
    threading.Timer(0.05, lines.give_back, [line]).start()
    assert lines.take() is line
    line.close()
    alone.close()


def test_where_nobody_answers_it_is_an_outage_and_costs_no_place(free_tcp_port: int) -> None:
    nowhere = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_tcp_port}/none", lines=1)
    for _ in range(3):
        with pytest.raises(StorageUnavailable), nowhere.line():
            pass
