"""Of requests with the same Idempotency-Key one runs at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from ingest.errors import Refused
from ingest.keys import Keys
from storage import tables
from storage.database import Database
from storage.idempotency import Claim, InProgress, Once, begin, lock, release

THREAD, CLAIM = "thr_here", Claim("alice", "/v1/here", "k")
Process = Callable[[Callable[[Database], Awaitable[None]]], None]


def again() -> Claim:
    return replace(CLAIM, owner="another")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.keys._SOON_S", 0.1)
    monkeypatch.setattr("storage.idempotency.LOCK_S", 1.0)


@pytest.fixture(autouse=True)
def member(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(insert(tables.threads).values(id=THREAD, created_by="alice"))
        connection.execute(insert(tables.participants).values(thread_id=THREAD, user_id="alice"))


@pytest.fixture
def process(database_url: str) -> Process:
    """Runs this in an event loop with its own connections."""

    def run(work: Callable[[Database], Awaitable[None]]) -> None:
        async def working() -> None:
            with closing(Database(database_url)) as mine:
                await work(mine)
                await asyncio.sleep(0)

        asyncio.run(working())

    return run


def owners(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(tables.idempotency_keys.c.owner)).scalars())


async def refused(keys: Keys, *, after_s: float) -> None:
    async with keys.holding(THREAD, CLAIM):
        await asyncio.sleep(after_s)
        raise Refused("no_audio", "empty")


def test_what_is_soon_over_asks_the_database_nothing(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        async with Keys(mine).holding(THREAD, CLAIM):
            pass
        await asyncio.sleep(0.2)

    process(work)
    assert owners(database) == []


def test_the_same_key_is_refused_while_its_request_runs(process: Process) -> None:
    async def work(mine: Database) -> None:
        keys = Keys(mine)
        async with keys.holding(THREAD, CLAIM):
            with pytest.raises(InProgress):
                async with keys.holding(THREAD, again()):
                    pass
            for other in (replace(CLAIM, key="l"), replace(CLAIM, user_id="bob"), replace(CLAIM, path="/"), None):
                async with keys.holding(THREAD, other):
                    pass
        async with keys.holding(THREAD, again()):
            pass

    process(work)


def test_a_result_is_given_to_all_who_ask(process: Process, database: Database) -> None:
    with database.transaction() as connection:
        assert begin(connection, CLAIM) is None
        Once(CLAIM, "f").complete(connection, "msg_1")

    async def work(mine: Database) -> None:
        keys = Keys(mine)
        async with keys.holding(THREAD, again()), keys.holding(THREAD, again()):
            await asyncio.sleep(0.3)
            with pytest.raises(Refused):
                await refused(keys, after_s=0.0)

    process(work)
    assert owners(database) == [CLAIM.owner]


def test_who_is_not_in_the_thread_leaves_nothing(process: Process, database: Database) -> None:
    """As one who is erased meanwhile."""

    async def work(mine: Database) -> None:
        async with Keys(mine).holding("thr_another", CLAIM):
            await asyncio.sleep(0.3)

    process(work)
    assert owners(database) == []


def test_what_takes_long_keeps_its_key_from_other_processes(process: Process) -> None:
    async def work(mine: Database) -> None:
        async with Keys(mine).holding(THREAD, CLAIM):
            await asyncio.sleep(0.3)
            for _ in range(8):
                assert not await mine.ask(lock(again()))
                await asyncio.sleep(0.25)

    process(work)


def test_a_refused_request_frees_its_key_at_once(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        keys = Keys(mine)
        with pytest.raises(Refused):
            await refused(keys, after_s=0.3)
        assert owners(database) == []
        async with keys.holding(THREAD, again()):
            pass

    process(work)


def test_one_that_is_broken_off_frees_its_key(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        keys = Keys(mine)

        async def request() -> None:
            async with keys.holding(THREAD, CLAIM):
                await asyncio.sleep(60)

        running = asyncio.create_task(request())
        await asyncio.sleep(0.3)
        assert owners(database) == [CLAIM.owner]
        running.cancel()
        await asyncio.wait([running])
        assert owners(database) == []
        async with keys.holding(THREAD, again()):
            pass

    process(work)


def test_what_is_just_being_locked_is_freed_after_that(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        with database.transaction() as connection:
            connection.execute(select(tables.participants).with_for_update())
            refusal = asyncio.create_task(refused(Keys(mine), after_s=0.2))
            await asyncio.sleep(0.4)
        with pytest.raises(Refused):
            await refusal

    process(work)
    assert owners(database) == []


def test_a_key_that_another_request_let_go_of_is_locked_again(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        assert await mine.ask(lock(again()))
        async with Keys(mine).holding(THREAD, CLAIM):
            await asyncio.sleep(0.2)
            assert owners(database) == [again().owner]
            assert await mine.ask(release(again()))
            await asyncio.sleep(0.4)
            assert owners(database) == [CLAIM.owner]

    process(work)


def test_another_ones_key_is_left_to_it(process: Process, database: Database) -> None:
    async def work(mine: Database) -> None:
        assert await mine.ask(lock(again()))
        with pytest.raises(Refused):
            await refused(Keys(mine), after_s=0.3)

    process(work)
    assert owners(database) == [again().owner]


def test_an_outage_of_the_database_is_survived(
    process: Process, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(mine: Database) -> None:
        monkeypatch.setattr(mine, "url", "postgresql+psycopg://nobody@127.0.0.1:1/none")
        async with Keys(mine).holding(THREAD, CLAIM):
            await asyncio.sleep(0.2)
            monkeypatch.setattr(mine, "url", database_url)
            await asyncio.sleep(0.5)
            assert owners(database) == [CLAIM.owner]

    process(work)


def test_where_the_database_is_away_the_fault_is_told_all_the_same(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(mine: Database) -> None:
        monkeypatch.setattr(mine, "url", "postgresql+psycopg://nobody@127.0.0.1:1/none")
        with pytest.raises(Refused):
            await refused(Keys(mine), after_s=0.0)

    process(work)
