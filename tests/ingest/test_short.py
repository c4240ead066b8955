"""A short recording goes without a thread, and ends as it would have with one, whatever happens meanwhile."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from ingest.errors import Refused
from ingest.original import Upload
from ingest.voice import Accepted
from storage import jobs, tables, threads, usage
from storage import messages as stored_messages
from storage.bell import listening
from storage.database import Database
from storage.errors import NoThread, StorageUnavailable
from storage.events import CHANNEL
from storage.objects import ObjectStore
from tests.ingest.sending import RECORDING, Accept, all_given_up, count, meanwhile, process, sent, used, waiting


@pytest.mark.parametrize("limits", [{"rate_limits": "off"}, {}], ids=["free", "counted"])
def test_it_is_a_message_a_job_an_event_and_an_object(
    accept: Accept, upload: Upload, database: Database, object_store: ObjectStore, limits: dict[str, Any]
) -> None:
    with listening(database, [CHANNEL]) as bell:
        accepted = accept(upload, **limits)
        assert bell.wait(10)
    message = accepted.message
    assert message is not None
    assert message.voice is not None
    assert (accepted.status, accepted.replayed, message.voice.container, message.external_id) == (
        201,
        False,
        "3gp",
        "ours",
    )
    with object_store.get(message.voice.original_key) as stream:
        assert stream.read() == RECORDING
    assert [count(database, each) for each in (tables.events, tables.intents, tables.reservations)] == [1, 0, 0]
    with database.transaction() as connection:
        assert stored_messages.get(connection, message.id, "alice") == message
        claimed = jobs.claim(connection, "media", lane=None, limit=5, lease_s=60, worker="w")
        assert [job.message_id for job in claimed] == [message.id]
    assert used(database) == (usage.Usage(0, 0) if limits else usage.Usage(1, len(RECORDING)))


@pytest.mark.parametrize(
    "limits", [{"hourly_messages": 2}, {"hourly_bytes": 2 * len(RECORDING)}], ids=["messages", "bytes"]
)
def test_one_more_than_allowed_is_refused_and_nothing_is_left(
    accept: Accept, upload: Upload, database: Database, limits: dict[str, Any]
) -> None:
    for _ in range(2):
        assert accept(upload, **limits).message is not None
    with pytest.raises(Refused) as refused:
        accept(upload, **limits)
    assert refused.value.code == "rate_limited"
    assert used(database) == usage.Usage(2, 2 * len(RECORDING))
    assert (count(database, tables.messages), count(database, tables.reservations)) == (2, 0)
    assert all_given_up(database)


def test_one_that_is_too_much_by_itself_is_refused(accept: Accept, upload: Upload, database: Database) -> None:
    with pytest.raises(Refused) as refused:
        accept(upload, hourly_bytes=len(RECORDING) - 1)
    assert refused.value.code == "rate_limited"
    assert used(database) == usage.Usage(0, 0)
    assert all_given_up(database)


def test_what_others_used_up_meanwhile_counts(
    accept: Accept, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use() -> None:
        with database.transaction() as connection:
            usage.add(connection, "alice", 5)

    meanwhile(monkeypatch, use)
    with pytest.raises(Refused) as refused:
        accept(upload, hourly_messages=1)
    assert refused.value.code == "rate_limited"
    assert used(database) == usage.Usage(1, 5)
    assert count(database, tables.messages) == 0
    assert all_given_up(database)


def test_from_outside_the_thread_nothing_is_left(accept: Accept, upload: Upload, database: Database) -> None:
    with pytest.raises(NoThread):
        accept(replace(upload, sender="mallory"))
    assert (count(database, tables.messages), count(database, tables.reservations)) == (0, 0)
    assert all_given_up(database)


def test_who_was_refused_is_asked_first_for_a_while(
    upload: Upload,
    database_url: str,
    database: Database,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = replace(upload, sender="mallory")

    async def send() -> None:
        async with process(database_url, object_store) as short:
            for _ in range(3):
                with pytest.raises(NoThread):
                    await sent(short, foreign)
            assert (await sent(short, upload)).message is not None
            # The recording of the message, and what was put the first time.
            assert len(list(object_store.list("messages/"))) == 2
            with database.transaction() as connection:
                threads.add_member(connection, upload.thread_id, "mallory")
            assert (await sent(short, foreign)).message is not None
            with database.transaction() as connection:
                threads.remove_member(connection, upload.thread_id, "mallory")
            now = time.monotonic()
            monkeypatch.setattr("ingest.short.time", SimpleNamespace(monotonic=lambda: now + 61))
            with pytest.raises(NoThread):
                await sent(short, foreign)
            assert len(list(object_store.list("messages/"))) == 4

    asyncio.run(send())
    assert count(database, tables.messages) == 2


def test_of_those_who_were_refused_some_are_remembered(
    upload: Upload, database_url: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.short._MOST_DOUBTED", 2)

    async def send() -> None:
        async with process(database_url, object_store) as short:
            for name in ("a", "b", "c", "c", "b", "a"):
                with pytest.raises(NoThread):
                    await sent(short, replace(upload, sender=name))

    asyncio.run(send())
    assert len(list(object_store.list("messages/"))) == 4


def test_who_left_meanwhile_sends_nothing(
    accept: Accept, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave() -> None:
        with database.transaction() as connection:
            threads.remove_member(connection, upload.thread_id, "alice")

    meanwhile(monkeypatch, leave)
    with pytest.raises(NoThread):
        accept(upload)
    assert count(database, tables.messages) == 0
    assert used(database) == usage.Usage(0, 0)
    assert all_given_up(database)


@pytest.mark.parametrize("limits", [{"rate_limits": "off"}, {}], ids=["free", "counted"])
def test_what_was_swept_meanwhile_is_put_again(
    accept: Accept,
    upload: Upload,
    database: Database,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, Any],
) -> None:
    """As when a machine sleeps in the middle of an upload. What was put after the sweep is left to the next one."""

    def sweep() -> None:
        with database.transaction() as connection:
            connection.execute(tables.reservations.delete())

    meanwhile(monkeypatch, sweep)
    message = accept(upload, **limits).message
    assert message is not None
    assert message.voice is not None
    assert object_store.read(message.voice.original_key) == RECORDING
    assert used(database) == (usage.Usage(0, 0) if limits else usage.Usage(1, len(RECORDING)))
    assert count(database, tables.messages) == 1
    assert all_given_up(database)


def test_what_is_just_being_swept_costs_nothing(
    upload: Upload, database: Database, database_url: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send() -> Accepted:
        async with process(database_url, object_store) as short:
            sweep = database.engine.connect()
            meanwhile(monkeypatch, lambda: sweep.execute(tables.reservations.delete()))
            sending = asyncio.create_task(sent(short, upload))
            while waiting(database) < 1:
                await asyncio.sleep(0.02)
            sweep.commit()
            sweep.close()
            return await sending

    assert asyncio.run(send()).message is not None
    assert (used(database), count(database, tables.messages)) == (usage.Usage(1, len(RECORDING)), 1)


def test_where_the_last_statement_fails_the_original_is_given_up(
    accept: Accept, upload: Upload, database: Database
) -> None:
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (state <> 'queued')"))
    with pytest.raises(Exception, match="broken"):
        accept(upload)
    assert count(database, tables.messages) == 0
    assert used(database) == usage.Usage(0, 0)
    assert all_given_up(database)


def test_a_put_that_the_short_way_does_not_manage_is_made_by_the_library(
    accept: Accept, upload: Upload, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(ObjectStore, "put_soon", fail)
    message = accept(upload).message
    assert message is not None
    assert message.voice is not None
    assert object_store.read(message.voice.original_key) == RECORDING


def test_where_the_store_is_away_there_is_no_message_and_its_key_waits_to_be_swept(
    accept: Accept, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch, object_store: ObjectStore
) -> None:
    monkeypatch.setattr(object_store, "_bucket", "a-bucket-that-is-not-there")
    with pytest.raises(StorageUnavailable):
        accept(upload)
    assert (count(database, tables.messages), count(database, tables.reservations)) == (0, 1)


def test_credentials_that_run_out_are_asked_for_again(
    accept: Accept, upload: Upload, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, asked = object_store._clients, []
    ask = clients.credentials

    def counted() -> Any:
        asked.append(1)
        return ask()

    monkeypatch.setattr(clients, "credentials", counted)
    clients._credentials = None
    for _ in range(3):
        assert accept(upload).message is not None
    assert len(asked) == 1
    due = _RunningOut(ask())
    clients._credentials = due
    assert accept(upload).message is not None
    assert (len(asked), clients._credentials is due) == (2, False)


def test_what_is_no_recording_is_refused(accept: Accept, upload: Upload, database: Database) -> None:
    with pytest.raises(Refused) as refused:
        accept(upload, b"<html>hello</html>")
    assert refused.value.code == "unsupported_format"
    assert [count(database, each) for each in (tables.intents, tables.reservations)] == [0, 0]


def test_where_the_database_is_slow_it_goes_the_other_way(
    accept: Accept, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.reservations.USED_WITHIN_S", 0.0)
    assert accept(upload).message is not None
    assert [count(database, each) for each in (tables.messages, tables.intents)] == [1, 0]


class _RunningOut:
    """As botocore's own that are to be renewed."""

    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    def refresh_needed(self) -> bool:
        return True

    def get_frozen_credentials(self) -> Any:
        return self._frozen
