"""Who listens is woken after what he is told of, once for many, and whoever tells never waits for it."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from storage.bell import Teller, listening
from storage.database import Database


@pytest.fixture
def teller(database: Database) -> Iterator[Teller]:
    teller = Teller(database, "changes")
    yield teller
    teller.close()


def test_who_listens_is_woken_each_time_something_is_told(database: Database, teller: Teller) -> None:
    with listening(database, ["changes"]) as bell:
        for _ in range(3):
            teller.tell()
            assert bell.wait(10)


def test_much_at_once_is_told_together(database: Database, teller: Teller) -> None:
    with listening(database, ["changes"]) as bell:
        for _ in range(1000):
            teller.tell()
        heard = bell.wait(10)
        while more := bell.wait(0.5):
            heard += more
    assert 1 <= len(heard) < 100


def test_at_the_end_nothing_is_left_untold_and_no_thread(database: Database) -> None:
    before = threading.active_count()
    with listening(database, ["changes"]) as bell:
        teller = Teller(database, "changes")
        teller.tell()
        assert bell.wait(10)
        teller.tell()
        teller.close()
        assert bell.wait(10)
    assert threading.active_count() == before


def test_a_lost_connection_is_nobodys_error_and_the_next_one_is_told(database: Database, teller: Teller) -> None:
    teller.tell()
    time.sleep(0.2)
    with database.transaction() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_notify%'"
                " AND pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    with listening(database, ["changes"]) as bell:
        teller.tell()
        time.sleep(0.2)
        teller.tell()
        assert bell.wait(10)
