"""Connections that are lent to the driver come back as they were lent, or not at all."""

import psycopg
import pytest
from sqlalchemy import Integer, bindparam, select, text

from storage.database import Database
from storage.driver import Statement
from storage.errors import StorageUnavailable

DOUBLE = Statement(select(bindparam("number", type_=Integer) * 2))
MADE = Statement(text("INSERT INTO t VALUES (:a, :b)"))


@pytest.fixture
def alone(database_url: str) -> Database:
    """With one connection, so that the next user has what the last one left."""
    return Database(database_url, pool_size=1)


def transactional(database: Database) -> bool:
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE left_open (a int)"))
        connection.rollback()
    with database.reading() as connection:
        return connection.execute(text("SELECT to_regclass('left_open')")).scalar() is None


def test_a_statement_gives_the_same_with_and_without_the_library(alone: Database) -> None:
    with alone.driver() as session:
        assert DOUBLE.rows(session, {"number": 21}) == [(42,)]
    with alone.reading() as connection:
        assert DOUBLE.rows(connection, {"number": 21}) == [(42,)]
    with alone.transaction() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE t (a int, b bytea) ON COMMIT DROP"))
        assert MADE.changed(connection, {"a": 1, "b": b"\0\xff"}) == 1
        assert connection.execute(text("SELECT b FROM t")).scalar_one() == b"\0\xff"
    alone.close()


def test_what_is_raised_meanwhile_leaves_transactions_as_they_were(alone: Database) -> None:
    with pytest.raises(KeyError), alone.driver():
        raise KeyError
    assert transactional(alone)
    with pytest.raises(psycopg.errors.DivisionByZero), alone.driver() as session:
        session.execute("SELECT 1/0")
    assert transactional(alone)
    alone.close()


def test_a_connection_that_broke_is_told_as_an_outage_and_is_not_lent_again(alone: Database) -> None:
    with pytest.raises(StorageUnavailable), alone.driver() as session:
        session.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert transactional(alone)
    with pytest.raises(StorageUnavailable), alone.reading() as connection:
        Statement(text("SELECT pg_terminate_backend(pg_backend_pid())")).rows(connection, {})
    assert transactional(alone)
    with pytest.raises(psycopg.errors.DivisionByZero), alone.driver() as session:
        session.execute("BEGIN; SELECT 1/0")
    assert transactional(alone)
    alone.close()
