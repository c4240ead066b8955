"""Every folder that is handed out is declared, to one caller; none that nobody took stays behind."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from ingest.folders import Folder, Folders
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.tables import intents


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folders(database: Database, clock: Clock) -> Folders:
    return Folders(database, "messages", clock)


@pytest.fixture
def declared(database: Database) -> Callable[[], set[Folder]]:
    def read() -> set[Folder]:
        with database.reading() as connection:
            return {Folder(row.message_id, row.object_key) for row in connection.execute(select(intents))}

    return read


def test_who_comes_seldom_is_given_one_that_was_declared_for_him(
    folders: Folders, clock: Clock, declared: Callable[[], set[Folder]]
) -> None:
    taken = set()
    for _ in range(3):
        taken.add(folders.take())
        assert declared() == taken
        clock.now += 10
    assert all(each.key == f"messages/{each.message_id}/original/" for each in taken)


def test_where_many_come_more_are_declared_at_a_time(
    folders: Folders, declared: Callable[[], set[Folder]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    driver = Database.driver
    monkeypatch.setattr(Database, "driver", lambda self: (asked.update(["statements"]), driver(self))[1])
    taken = {folders.take() for _ in range(79)}
    assert len(taken) == 79
    assert declared() == taken
    # 1, 2, 4, 8 and then 16 each.
    assert asked["statements"] == 8
    folders.take()
    assert len(declared()) == 95
    folders.close()
    assert len(declared()) == 80


def test_one_that_waited_for_long_is_taken_back(
    folders: Folders, clock: Clock, declared: Callable[[], set[Folder]]
) -> None:
    used = [folders.take() for _ in range(4)]
    waiting = declared() - set(used)
    assert len(waiting) == 3
    clock.now += 10
    fresh = folders.take()
    assert fresh not in {*waiting, *used}
    assert declared() == {fresh, *used}


def test_threads_share_none(folders: Folders, declared: Callable[[], set[Folder]]) -> None:
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: folders.take(), range(400)))
    assert len(set(taken)) == 400
    assert set(taken) <= declared()
    folders.close()
    assert set(taken) == declared()


def test_an_outage_is_told_and_hands_out_nothing(clock: Clock) -> None:
    folders = Folders(Database("postgresql+psycopg://nobody@127.0.0.1:1/none"), "messages", clock)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            folders.take()
    folders.close()
