"""A short recording with an Idempotency-Key: its result is written by the statement that makes the message."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from ingest.errors import Refused
from ingest.original import Upload
from ingest.voice import Accepted, Intake
from storage import idempotency, tables, usage
from storage.database import Database
from storage.errors import NoThread, StorageUnavailable
from storage.idempotency import Claim, InProgress
from storage.objects import ObjectStore
from tests.ingest.sending import RECORDING, Accept, again, all_given_up, count, meanwhile, process, sent, used, waiting


@pytest.fixture
def keyed(upload: Upload) -> Upload:
    return replace(upload, claim=Claim("alice", f"/v1/threads/{upload.thread_id}/voice-messages", "k"))


@pytest.mark.parametrize("limits", [{"rate_limits": "off"}, {}], ids=["free", "counted"])
def test_with_a_key_it_is_made_once(
    accept: Accept, keyed: Upload, database: Database, object_store: ObjectStore, limits: dict[str, Any]
) -> None:
    first, repeated = accept(keyed, **limits), accept(again(keyed), **limits)
    assert (first.status, first.replayed, repeated.status, repeated.replayed) == (201, False, 201, True)
    assert repeated.message == first.message
    with pytest.raises(Refused) as refused:
        accept(again(keyed), RECORDING + b"\0", **limits)
    assert refused.value.code == "idempotency_mismatch"
    assert [count(database, each) for each in (tables.messages, tables.reservations)] == [1, 0]
    assert used(database) == (usage.Usage(0, 0) if limits else usage.Usage(1, len(RECORDING)))
    assert all_given_up(database)


def test_the_short_way_is_taken_with_a_key(
    accept: Accept, keyed: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Intake, "begin", nothing)
    message = accept(keyed).message
    assert message is not None
    assert _result(database) == (201, message.id, None)


def test_the_key_of_what_is_refused_is_not_used_up(accept: Accept, keyed: Upload, database: Database) -> None:
    with pytest.raises(Refused) as refused:
        accept(keyed, hourly_bytes=1)
    assert refused.value.code == "rate_limited"
    with pytest.raises(NoThread):
        accept(replace(keyed, sender="mallory", claim=Claim("mallory", "/", "k")))
    assert [count(database, each) for each in (tables.messages, tables.idempotency_keys)] == [0, 0]
    assert accept(keyed).message is not None


def test_what_is_no_recording_is_another_one_where_the_key_was_used(accept: Accept, keyed: Upload) -> None:
    assert accept(keyed).message is not None
    with pytest.raises(Refused) as refused:
        accept(again(keyed), b"<html>hello</html>")
    assert refused.value.code == "idempotency_mismatch"


def test_an_answer_that_was_lost_needs_no_object_store(
    accept: Accept, keyed: Upload, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = accept(keyed)
    monkeypatch.setattr(object_store, "_bucket", "a-bucket-that-is-not-there")
    assert accept(again(keyed)).message == first.message
    other = replace(keyed, claim=replace(keyed.claim, key="other"))  # type: ignore[type-var]
    with pytest.raises(StorageUnavailable):
        accept(other)


def test_a_key_that_another_process_got_meanwhile_is_left_to_it(
    accept: Accept, keyed: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = again(keyed).claim
    assert other is not None

    def begin() -> None:
        with database.transaction() as connection:
            assert idempotency.begin(connection, other) is None

    with monkeypatch.context() as overtaking:
        meanwhile(overtaking, begin)
        with pytest.raises(InProgress):
            accept(keyed)
    assert (count(database, tables.messages), used(database)) == (0, usage.Usage(0, 0))
    with database.writing() as connection:
        assert idempotency.release(other).on(connection)
    assert accept(keyed).message is not None


def test_one_that_runs_out_is_taken_over(accept: Accept, keyed: Upload, database: Database) -> None:
    other = again(keyed).claim
    assert other is not None
    with database.transaction() as connection:
        assert idempotency.begin(connection, other) is None
        connection.execute(text("UPDATE idempotency_keys SET locked_until = clock_timestamp() - interval '1 s'"))
    message = accept(keyed).message
    assert message is not None
    assert _result(database) == (201, message.id, None)


def test_its_own_lock_is_no_hindrance(accept: Accept, keyed: Upload, database: Database) -> None:
    """Of a body that was long on its way."""
    assert keyed.claim is not None
    with database.transaction() as connection:
        assert idempotency.begin(connection, keyed.claim) is None
    message = accept(keyed).message
    assert message is not None
    assert _result(database) == (201, message.id, None)


@pytest.mark.parametrize("limits", [{"rate_limits": "off"}, {}], ids=["free", "counted"])
def test_of_two_statements_at_once_one_is_undone_as_a_whole(
    keyed: Upload, database: Database, database_url: str, object_store: ObjectStore, limits: dict[str, Any]
) -> None:
    """Both began before either was committed."""

    async def send() -> list[Accepted]:
        async with process(database_url, object_store, **limits) as one, process(database_url, object_store) as other:
            with database.transaction() as connection:
                connection.execute(select(tables.threads).with_for_update())
                both = [asyncio.create_task(sent(short, each)) for short, each in ((one, keyed), (other, again(keyed)))]
                while waiting(database) < 2:
                    await asyncio.sleep(0.02)
            return list(await asyncio.gather(*both))

    first, second = asyncio.run(send())
    assert sorted([first.replayed, second.replayed]) == [False, True]
    assert first.message == second.message
    assert [count(database, each) for each in (tables.messages, tables.jobs, tables.reservations)] == [1, 1, 0]
    assert used(database).messages < 2
    assert all_given_up(database)
    with database.reading() as connection:
        assert connection.execute(select(tables.threads.c.last_seq)).scalar_one() == 1


def _result(database: Database) -> tuple[Any, ...]:
    row = tables.idempotency_keys.c
    with database.reading() as connection:
        return tuple(connection.execute(select(row.status, row.resource_id, row.locked_until)).one())
