"""A connection that died while it rested is replaced before anybody notices."""

import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from storage.database import Database
from storage.driver import Statement
from storage.errors import StorageUnavailable

PID = text("SELECT pg_backend_pid()")
ALIVE = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")


def test_a_connection_that_died_at_rest_is_replaced(database_url: str) -> None:
    database, other = Database(database_url), Database(database_url)
    with database.transaction() as connection:
        pid = connection.execute(PID).scalar_one()
    with other.transaction() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    time.sleep(0.6)
    for hold in (database.transaction, database.reading):
        with hold() as connection:
            assert connection.execute(PID).scalar_one() != pid
    database.close()
    other.close()


def test_one_that_dies_in_use_is_told_of_and_replaced(database_url: str) -> None:
    database, other = Database(database_url), Database(database_url)
    with pytest.raises(StorageUnavailable), database.transaction() as connection:  # noqa: PT012
        pid = connection.execute(PID).scalar_one()
        with other.transaction() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        time.sleep(0.1)
        connection.execute(PID)
    with database.transaction() as connection:
        assert connection.execute(PID).scalar_one() != pid
    database.close()
    other.close()


@pytest.mark.parametrize("hold", ["transaction", "reading"])
def test_where_one_was_lost_all_that_rest_are_asked(postgres_url: str, hold: str) -> None:
    """One outage, one answer that tells of it, however short it was and however many connections it cost."""
    database, other = Database(postgres_url), Database(postgres_url)
    with database.reading() as first, database.reading() as second:
        pids = [Statement(PID).rows(each, {})[0][0] for each in (first, second)]
    with other.transaction() as killer:
        killer.execute(text("SELECT pg_terminate_backend(pid, 5000) FROM unnest(:pids) AS pid"), {"pids": pids})
    with pytest.raises(StorageUnavailable), getattr(database, hold)() as connection:
        Statement(PID).rows(connection, {})
    with database.reading() as first, database.transaction() as second:
        assert not {Statement(PID).rows(each, {})[0][0] for each in (first, second)} & set(pids)
    database.close()
    other.close()


@pytest.mark.parametrize("hold", ["transaction", "reading"])
def test_one_in_use_is_closed_when_it_is_given_back(database: Database, database_url: str, hold: str) -> None:
    closed = Database(database_url)
    with getattr(closed, hold)() as connection:
        ((used,),) = Statement(PID).rows(connection, {})
        closed.close()
        assert Statement(PID).rows(connection, {}) == [(used,)]
    wait_until_gone(database, used)


def wait_until_gone(database: Database, pid: int) -> None:
    with database.reading() as connection:
        for _ in range(100):
            if not connection.execute(ALIVE, {"pid": pid}).scalar():
                return
            time.sleep(0.05)
    raise AssertionError(f"the connection {pid} is still open")


def test_errors_tell_nothing_of_what_a_statement_was_about(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DataError) as failed, database.transaction() as connection:
        connection.execute(
            text("SELECT 1 / CAST(:zero AS int), CAST(:said AS text)"), {"zero": 0, "said": "between us"}
        )
    assert "division by zero" in str(failed.value)
    assert "between us" not in str(failed.value)
    database.close()


def test_reading_sees_what_was_committed_between_statements(database_url: str) -> None:
    database = Database(database_url)
    with database.reading() as reader:
        before = reader.execute(text("SELECT last FROM event_log")).scalar_one()
        with database.transaction() as writer:
            writer.execute(text("UPDATE event_log SET last = last + 1"))
        assert reader.execute(text("SELECT last FROM event_log")).scalar_one() == before + 1
    database.close()


def test_only_what_need_not_be_durable_goes_on_before_the_disk(postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=1)
    ask = text("SHOW synchronous_commit")
    with database.transaction() as connection:
        connection.execute(text("SET synchronous_commit = on"))
    with database.transaction(durable=False) as connection:
        assert connection.execute(ask).scalar() == "off"
    with database.transaction() as connection:
        assert connection.execute(ask).scalar() == "on"
    database.close()
