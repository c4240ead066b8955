"""A recording arrives as a whole or not at all, whoever else is at the thread, the intent or the sender meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from storage import arrivals, intents, messages, people, tables
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.ids import new_id
from storage.messages import Message, Original
from tests.stack import wait_until

ROWS = (tables.messages, tables.voices, tables.transcripts, tables.jobs, tables.events)


def declared(database: Database) -> tuple[str, Original]:
    message_id = new_id("msg")
    original = Original(f"messages/{message_id}/original/x", 7, "0" * 64, "ogg")
    with database.writing() as connection:
        intents.declare(connection, message_id, [original.object_key], ttl_s=60)
    return message_id, original


def arrive(database: Database, thread: str, sender: str = "alice", sent_at: datetime | None = None) -> Message | None:
    message_id, original = declared(database)
    with database.writing() as connection:
        return arrivals.add_voice(
            connection, message_id, thread, sender, original, language="de", external_id="ours", sent_at=sent_at
        )


def counts(database: Database) -> list[int]:
    with database.reading() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in ROWS]


def test_what_arrived_is_told_as_its_sender_would_read_it(database: Database, thread: str) -> None:
    arrived = arrive(database, thread)
    assert arrived is not None
    with database.reading() as connection:
        assert messages.get(connection, arrived.id, "alice") == arrived
        job = connection.execute(select(tables.jobs)).one()
        assert connection.execute(select(tables.intents)).all() == []
    assert counts(database) == [1, 1, 1, 1, 1]
    assert (job.message_id, job.queue, job.state, job.lane, job.quiet) == (arrived.id, "media", "queued", 0, False)


def test_history_is_told_to_nobody_and_asks_for_no_membership(database: Database, thread: str) -> None:
    sent_at = datetime(2019, 1, 1, tzinfo=UTC)
    arrived = arrive(database, thread, "carol", sent_at)
    assert arrived is not None
    assert (arrived.seq < 0, arrived.created_at) == (True, sent_at)
    assert counts(database) == [1, 1, 1, 1, 0]
    with database.reading() as connection:
        assert connection.execute(select(tables.jobs.c.quiet)).scalar_one()
        assert connection.execute(select(tables.threads.c.last_seq)).scalar_one() == 0


def test_from_outside_the_thread_nothing_is_written_and_the_intent_stays_to_be_swept(
    database: Database, thread: str
) -> None:
    assert arrive(database, thread, "mallory") is None
    assert counts(database) == [0, 0, 0, 0, 0]
    with database.reading() as connection:
        assert len(connection.execute(select(tables.intents)).all()) == 1
        assert connection.execute(select(tables.threads.c.last_seq)).scalar_one() == 0


def test_without_its_intent_nothing_is_written(database: Database, thread: str) -> None:
    message_id, original = declared(database)
    with database.transaction() as connection:
        connection.execute(tables.intents.delete())
    with pytest.raises(StorageUnavailable, match="swept"), database.writing() as connection:
        arrivals.add_voice(connection, message_id, thread, "alice", original, language=None, external_id=None)
    assert counts(database) == [0, 0, 0, 0, 0]


def test_many_at_once_are_numbered_without_a_gap(database: Database, thread: str) -> None:
    """Each waits for the thread's row and then counts on from what it finds there, not from what it saw before."""
    with ThreadPoolExecutor(8) as senders:
        arrived = list(senders.map(lambda _: arrive(database, thread), range(64)))
    assert sorted(message.seq for message in arrived if message is not None) == list(range(1, 65))
    assert counts(database) == [64, 64, 64, 64, 64]


def test_one_that_waits_for_the_erasure_of_its_sender_is_not_made(database: Database, thread: str) -> None:
    found: list[Message | None] = []
    waiting = threading.Thread(target=lambda: found.append(arrive(database, thread)))
    with database.transaction() as connection:
        people.request(connection, "alice")
    with database.transaction() as connection:
        people.step(connection, "alice")
        waiting.start()
        _until_somebody_waits(database)
    waiting.join()
    assert found == [None]
    assert counts(database)[0] == 0


def _until_somebody_waits(database: Database) -> None:
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with database.reading() as connection:
        wait_until(lambda: bool(connection.execute(waits).scalar_one()))
