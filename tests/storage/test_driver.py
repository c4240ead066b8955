"""Statements are the same on the library's connections and on lines, which are lent as they were opened or never."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import pytest
import uvloop
from sqlalchemy import Integer, bindparam, select, text

from storage import lines
from storage.database import Database
from storage.driver import Query, Statement
from storage.errors import StorageUnavailable
from tests.storage.test_connections import wait_until_gone

DOUBLE = Statement(select(bindparam("number", type_=Integer) * 2))
MADE = Statement(text("INSERT INTO t VALUES (:a, :b)"))
BACK = Statement(text("SELECT CAST(:a AS bytea), CAST(:b AS text), CAST(:c AS bigint), CAST(:d AS timestamptz), :e"))
WRONG = Statement(text("SELECT 1/0"))
END = Statement(text("SELECT pg_terminate_backend(pg_backend_pid())"))
PID = Statement(text("SELECT pg_backend_pid()"))
SLEEP = Statement(text("SELECT pg_backend_pid() FROM pg_sleep(CAST(:s AS float))"))
Scenario = Callable[[Database], Awaitable[None]]


class Run(Protocol):
    def __call__(self, scenario: Scenario, lines: int = 1) -> None: ...


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, database_url: str) -> Run:
    """Runs a scenario in a loop, with one line, so that the next user has what the last one left."""

    def run(scenario: Scenario, lines: int = 1) -> None:
        async def all_of_it() -> None:
            database = Database(database_url, pool_size=1, lines=lines)
            try:
                await scenario(database)
            finally:
                database.close()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(all_of_it())

    return run


async def ask(database: Database, statement: Statement, **values: Any) -> list[tuple[Any, ...]]:
    return await database.ask(Query(statement, values, list))


async def pid(database: Database) -> int:
    return int((await ask(database, PID))[0][0])


def kill(database_url: str, pids: list[int]) -> None:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) AS pid", [pids])


def test_a_statement_gives_the_same_with_and_without_the_library(run: Run) -> None:
    async def scenario(database: Database) -> None:
        assert await ask(database, DOUBLE, number=21) == [(42,)]
        with database.reading() as connection:
            assert DOUBLE.rows(connection, {"number": 21}) == [(42,)]
            assert Query(DOUBLE, {"number": 4}, len).on(connection) == 1
        with database.transaction() as connection:
            connection.execute(text("CREATE TEMPORARY TABLE t (a int, b bytea) ON COMMIT DROP"))
            assert MADE.changed(connection, {"a": 1, "b": b"\0\xff"}) == 1
            assert connection.execute(text("SELECT b FROM t")).scalar_one() == b"\0\xff"
        assert await ask(database, Statement(text("CREATE TEMPORARY TABLE t (a int, b bytea)"))) == []
        assert [await ask(database, MADE, a=1, b=None) for _ in range(3)] == [[], [], []]
        assert await ask(database, Statement(text("DELETE FROM t RETURNING a"))) == [(1,)] * 3

    run(scenario)


def test_values_of_any_kind_and_none_at_all_come_back_as_they_were_given(run: Run) -> None:
    """Some of them are more than the system takes, or gives, at once."""
    moment = datetime(2026, 11, 26, 12, 0, 0, 123456, UTC)
    rows = [
        {"a": bytes(range(256)) * 40_960, "b": "jö\n'%s' %% $1", "c": 2**62, "d": moment, "e": timedelta(hours=1)},
        {"a": None, "b": None, "c": None, "d": None, "e": timedelta(0)},
        {"a": b"", "b": "", "c": -1, "d": moment, "e": timedelta(days=-3)},
    ]

    async def scenario(database: Database) -> None:
        with database.reading() as connection:
            for row in [*rows, *rows]:
                assert await ask(database, BACK, **row) == [tuple(row.values())]
                assert BACK.rows(connection, row) == [tuple(row.values())]

    run(scenario)


def test_what_is_raised_meanwhile_costs_no_line(run: Run) -> None:
    async def scenario(database: Database) -> None:
        before = await pid(database)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await ask(database, WRONG)
        with pytest.raises(ValueError, match="unpack"):
            await database.ask(Query(PID, {}, _misread))
        assert await pid(database) == before

    run(scenario)


def test_a_line_that_broke_is_told_as_an_outage_and_is_not_lent_again(run: Run) -> None:
    async def scenario(database: Database) -> None:
        before = await pid(database)
        with pytest.raises(StorageUnavailable):
            await ask(database, END)
        assert (after := await pid(database)) != before
        await ask(database, Statement(text("BEGIN")))
        assert await pid(database) not in (before, after)
        with pytest.raises(StorageUnavailable), database.reading() as connection:
            END.rows(connection, {})

    run(scenario)


def test_a_line_that_died_at_rest_is_replaced(run: Run, database_url: str) -> None:
    async def scenario(database: Database) -> None:
        before = await pid(database)
        await asyncio.to_thread(kill, database_url, [before])
        await asyncio.sleep(0.05)
        assert await pid(database) != before

    run(scenario)


def test_who_gives_up_waiting_takes_nobodys_answer(run: Run) -> None:
    async def scenario(database: Database) -> None:
        before = await pid(database)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(database, SLEEP, s=30), 0.2)
        assert await pid(database) != before
        assert await ask(database, DOUBLE, number=3) == [(6,)]

    run(scenario)


def test_who_is_cancelled_between_two_steps_leaves_no_name_behind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = lines.Line._answered

    async def cancelled(line: lines.Line) -> Any:
        await answered(line)
        raise asyncio.CancelledError

    async def scenario(database: Database) -> None:
        before = await pid(database)
        with monkeypatch.context() as cut:
            cut.setattr(lines.Line, "_answered", cancelled)
            with pytest.raises(asyncio.CancelledError):
                await ask(database, DOUBLE, number=1)
        assert await ask(database, BACK, a=None, b="b", c=1, d=None, e=timedelta(0))
        assert await ask(database, DOUBLE, number=3) == [(6,)]
        assert await pid(database) == before

    run(scenario)


def test_a_server_that_hangs_is_an_outage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(database: Database) -> None:
        before = await pid(database)
        with monkeypatch.context() as impatient:
            impatient.setattr(lines, "_ANSWER_S", 0.2)
            with pytest.raises(StorageUnavailable):
                await ask(database, SLEEP, s=30)
        assert await pid(database) != before

    run(scenario)


def test_a_statement_prepared_before_a_migration_fails_once_at_most(run: Run) -> None:
    chosen = Statement(text("SELECT last FROM event_log"))

    async def scenario(database: Database) -> None:
        for change in ("ALTER TABLE event_log ALTER last TYPE numeric", "DEALLOCATE ALL"):
            await ask(database, chosen)
            await ask(database, Statement(text(change)))
            with pytest.raises(psycopg.Error):
                await ask(database, chosen)
            assert await ask(database, chosen) == [(0,)]

    run(scenario)


def test_several_are_asked_side_by_side_and_no_more_than_there_are_lines(run: Run) -> None:
    async def scenario(database: Database) -> None:
        asked = [ask(database, SLEEP, s=0.2) for _ in range(8)]
        answers = await asyncio.gather(*asked, pid(database))
        pids = {answer[0][0] for answer in answers[:-1]}
        assert len(pids) == 3
        assert answers[-1] in pids

    run(scenario, 3)


def test_who_waits_too_long_for_a_line_is_told(run: Run) -> None:
    async def scenario(database: Database) -> None:
        database.lines._patience_s = 0.2
        long = asyncio.create_task(ask(database, SLEEP, s=1))
        await asyncio.sleep(0.05)
        with pytest.raises(StorageUnavailable, match="in use"):
            await pid(database)
        database.lines._patience_s = 10
        assert await pid(database) == (await long)[0][0]

    run(scenario)


def test_a_line_in_use_is_closed_after_its_answer_and_none_is_opened_then(run: Run, database: Database) -> None:
    async def scenario(closed: Database) -> None:
        asked = asyncio.create_task(ask(closed, SLEEP, s=0.2))
        await asyncio.sleep(0.1)
        closed.close()
        ((used,),) = await asked
        await asyncio.to_thread(wait_until_gone, database, used)
        with pytest.raises(StorageUnavailable, match="closed"):
            await pid(closed)

    run(scenario)


def test_who_is_cancelled_while_a_line_opens_leaves_no_connection(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, made = psycopg.connect, []

    def slowly(*arguments: Any, **named: Any) -> psycopg.Connection[Any]:
        made.append(connect(*arguments, **named))
        time.sleep(0.2)
        return made[-1]

    async def scenario(database: Database) -> None:
        monkeypatch.setattr(psycopg, "connect", slowly)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pid(database), 0.1)
        # The only place is free again, and by then the first has come.
        assert await pid(database) == made[1].info.backend_pid
        assert made[0].closed

    run(scenario)


def test_where_nobody_answers_it_is_an_outage_and_costs_no_place(free_tcp_port: int) -> None:
    async def scenario() -> None:
        nowhere = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_tcp_port}/none", lines=1)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await pid(nowhere)

    asyncio.run(scenario())


def _misread(rows: list[tuple[Any, ...]]) -> None:
    ((_, _),) = rows
