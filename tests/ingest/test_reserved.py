"""Ids are reserved before anybody gets one, many where many are wanted, and nobody is given another's."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from ingest.reserved import ReservedIds
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.ids import is_id, made_at, randomness_of
from storage.reservations import USED_WITHIN_S
from storage.tables import reservations


@pytest.fixture
def mine(database_url: str) -> Iterator[Database]:
    """With connections of its own for the event loop of a test."""
    with closing(Database(database_url)) as mine:
        yield mine


@pytest.fixture
def reserved(database: Database) -> Callable[[], set[str]]:
    def reserved() -> set[str]:
        with database.reading() as connection:
            alive = reservations.c.expires_at > func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, 15)
            return set(connection.execute(select(reservations.c.slot).where(alive)).scalars())

    return reserved


def slots(ids: Iterable[str]) -> set[str]:
    return {randomness_of(each) for each in ids}


def test_each_is_given_once_and_reserved_before(mine: Database, reserved: Callable[[], set[str]]) -> None:
    async def take() -> list[str]:
        ids = ReservedIds(mine)
        return [*await asyncio.gather(*(ids.take() for _ in range(100))), await ids.take()]

    taken = asyncio.run(take())
    assert len(set(taken)) == 101
    assert all(is_id("msg", each) for each in taken)
    assert slots(taken) <= reserved()


def test_what_is_not_used_soon_is_released(
    mine: Database, reserved: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.reservations.USED_WITHIN_S", 0.3)

    async def take() -> None:
        ids = ReservedIds(mine)
        taken = {await ids.take(), await ids.take()}
        # One, and then two at once, since the first was used up.
        assert len(await asyncio.to_thread(reserved)) == 3
        async with asyncio.timeout(10):
            while await asyncio.to_thread(reserved) != slots(taken):
                await asyncio.sleep(0.05)
        # And again as few as at first.
        taken |= {await ids.take()}
        assert await asyncio.to_thread(reserved) == slots(taken)

    asyncio.run(take())


def test_an_id_is_as_old_as_its_use(mine: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clock is set meanwhile: a sweep looks for what was put within two seconds of the reservation."""
    now = [1_000_000.0]
    monkeypatch.setattr("ingest.reserved.time", SimpleNamespace(time=lambda: now[0], monotonic=time.monotonic))

    async def take() -> tuple[list[float], list[float]]:
        ids, made, since = ReservedIds(mine), [], []
        for step_s in (0, 1, 0.5, -3600, 0, 1.5, 60):
            now[0] += step_s
            message_id = await ids.take()
            made.append(made_at(message_id) - now[0])
            with mine.reading() as connection:
                mine_only = reservations.c.slot == randomness_of(message_id)
                found = connection.execute(select(reservations.c.since).where(mine_only)).scalar_one()
            since.append(now[0] - found)
        return made, since

    made, since = asyncio.run(take())
    assert made == [0] * 7
    assert all(0 <= each <= USED_WITHIN_S for each in since)


def test_at_the_end_what_is_not_used_is_released(mine: Database, reserved: Callable[[], set[str]]) -> None:
    async def take() -> set[str]:
        ids = ReservedIds(mine)
        taken = set(await asyncio.gather(*(ids.take() for _ in range(9))))
        taken.add(await ids.take())
        await ids.close()
        return taken

    assert slots(asyncio.run(take())) == reserved()


def test_slots_that_came_too_late_are_not_used_and_nobody_waits_for_others(
    mine: Database, reserved: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that takes longer for each statement than a slot is good for."""
    monkeypatch.setattr("storage.reservations.USED_WITHIN_S", 0.0)

    async def take() -> None:
        ids = ReservedIds(mine)
        async with asyncio.timeout(10):
            assert await asyncio.gather(*(ids.take() for _ in range(3))) == [None] * 3
        await ids.close()

    asyncio.run(take())
    assert reserved() == set()


def test_those_who_wait_go_on_where_one_gives_up(mine: Database, reserved: Callable[[], set[str]]) -> None:
    async def take() -> list[str]:
        ids = ReservedIds(mine)
        first, *others = [asyncio.create_task(ids.take()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return list(await asyncio.gather(*others))

    assert slots(asyncio.run(take())) <= reserved()


def test_an_outage_is_told_to_all_who_wait_and_ends(
    mine: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take() -> None:
        ids = ReservedIds(mine)
        monkeypatch.setattr(mine, "url", "postgresql+psycopg://nobody@127.0.0.1:1/none")
        told = await asyncio.gather(*(ids.take() for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in told] == [StorageUnavailable] * 3
        monkeypatch.setattr(mine, "url", database_url)
        assert is_id("msg", await ids.take())

    asyncio.run(take())
