"""Whatever dies between the bytes and the row: nothing answered is lost, nothing unanswered stays."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from ingest.errors import Refused
from ingest.original import Upload
from ingest.quota import Quota
from ingest.settings import IngestSettings
from ingest.spool import Spool
from ingest.voice import Accepted, Intake
from storage import jobs, threads
from storage.bell import listening
from storage.database import Database
from storage.errors import NoThread, StorageUnavailable
from storage.events import CHANNEL
from storage.idempotency import Claim, Finished, InProgress
from storage.intents import doom
from storage.objects import ObjectStore
from storage.tables import events, intents, messages
from tests.ingest.sending import RECORDING, again


@pytest.fixture
def intake(database: Database, object_store: ObjectStore) -> Iterator[Intake]:
    intake = Intake(database, object_store, "messages", Quota(IngestSettings()))
    yield intake
    intake.close()


@pytest.fixture
def upload(database: Database) -> Upload:
    with database.transaction() as connection:
        thread, _ = threads.create(connection, creator="alice", members=["bob"])
    claim = Claim("alice", f"/v1/threads/{thread}/voice-messages", secrets.token_hex(8))
    return Upload(thread, "alice", "en", "ours", claim)


def accepted(intake: Intake, upload: Upload, finished: Finished | None, recording: bytes = RECORDING) -> Accepted:
    with Spool() as spool:
        asyncio.run(spool.write(recording))
        return intake.accept(upload, spool, finished)


def rows(database: Database, table: object) -> int:
    with database.transaction() as connection:
        return len(connection.execute(select(table)).all())  # type: ignore[call-overload]


def test_an_accepted_upload_is_a_message_a_job_an_event_and_an_object(
    intake: Intake, upload: Upload, database: Database, object_store: ObjectStore
) -> None:
    message = accepted(intake, upload, intake.begin(upload)).message
    assert message is not None
    assert message.voice is not None
    assert message.voice.container == "3gp"
    with object_store.get(message.voice.original_key) as stream:
        assert stream.read() == RECORDING
    assert (rows(database, events), rows(database, intents)) == (1, 0)
    with database.transaction() as connection:
        claimed = jobs.claim(connection, "media", lane=None, limit=5, lease_s=60, worker="w")
        assert [job.message_id for job in claimed] == [message.id]


def test_who_listens_for_events_is_woken(intake: Intake, upload: Upload, database: Database) -> None:
    with listening(database, [CHANNEL]) as bell:
        accepted(intake, upload, intake.begin(upload))
        assert bell.wait(10)


def test_a_replay_makes_nothing_new(intake: Intake, upload: Upload, database: Database) -> None:
    first, repeat = accepted(intake, upload, intake.begin(upload)), again(upload)
    replayed = accepted(intake, repeat, intake.begin(repeat))
    assert replayed.replayed
    assert replayed.message == first.message
    with pytest.raises(Refused) as refused:
        accepted(intake, repeat, intake.begin(repeat), RECORDING + b"\0")
    assert refused.value.code == "idempotency_mismatch"
    assert rows(database, messages) == 1


def test_when_the_object_store_fails_there_is_no_message(
    intake: Intake, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch, object_store: ObjectStore
) -> None:
    with monkeypatch.context() as outage:
        outage.setattr(object_store, "_bucket", "a-bucket-that-is-not-there")
        with pytest.raises(StorageUnavailable):
            accepted(intake, upload, intake.begin(upload))
    assert (rows(database, messages), rows(database, intents)) == (0, 1)
    assert accepted(intake, upload, intake.begin(upload)).message is not None


def test_when_the_database_fails_after_the_put_the_sweep_finds_the_object(
    intake: Intake, upload: Upload, database: Database, object_store: ObjectStore
) -> None:
    """A trigger breaks the last transaction, as losing the database would."""
    finished = intake.begin(upload)
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (state <> 'queued')"))
    with pytest.raises(Exception, match="broken"):
        accepted(intake, upload, finished)
    with database.transaction() as connection:
        assert connection.execute(select(messages)).all() == []
        kept = connection.execute(select(intents.c.object_key)).scalar_one()
    assert object_store.head(kept) is not None


def test_an_object_swept_before_its_message_was_made_is_not_promised(
    intake: Intake, upload: Upload, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a machine sleeps in the middle of an upload. What was put after the sweep is left to the next one."""
    finished, put = intake.begin(upload), ObjectStore.put

    def put_and_sweep(store: ObjectStore, key: str, *arguments: object, **details: object) -> None:
        put(store, key, *arguments, **details)  # type: ignore[arg-type]
        with database.transaction() as connection:
            connection.execute(intents.delete())

    monkeypatch.setattr(ObjectStore, "put", put_and_sweep)
    with pytest.raises(StorageUnavailable, match="swept"):
        accepted(intake, upload, finished)
    assert rows(database, messages) == 0
    with database.transaction() as connection:
        assert doom(connection) == 1


def test_a_request_that_lost_its_key_makes_no_message(intake: Intake, upload: Upload, database: Database) -> None:
    assert intake.begin(upload) is None
    with database.transaction() as connection:
        connection.execute(text("UPDATE idempotency_keys SET locked_until = now() - interval '1 second'"))
    other = again(upload)
    assert intake.begin(other) is None
    with pytest.raises(InProgress):
        accepted(intake, upload, None)
    assert rows(database, messages) == 0
    assert accepted(intake, other, None).message is not None


def test_nothing_is_put_that_is_refused(upload: Upload, database: Database, object_store: ObjectStore) -> None:
    """Whoever used up their hour since `begin`."""
    settings = IngestSettings.model_validate({"rate_limits": "on", "hourly_messages": 1})
    mine, stranger = replace(upload, claim=None), replace(upload, claim=None, sender="mallory")
    with closing(Intake(database, object_store, "short", Quota(settings))) as intake:
        assert accepted(intake, mine, None).message is not None
        with pytest.raises(NoThread):
            accepted(intake, stranger, None)
        with pytest.raises(Refused) as refused:
            accepted(intake, mine, None)
    assert refused.value.code == "rate_limited"
    assert (rows(database, messages), rows(database, intents)) == (1, 0)
    assert len(list(object_store.list("short/"))) == 1


def test_who_left_meanwhile_sends_nothing(intake: Intake, upload: Upload, database: Database) -> None:
    finished = intake.begin(upload)
    with database.transaction() as connection:
        threads.remove_member(connection, upload.thread_id, upload.sender)
    with pytest.raises(NoThread):
        accepted(intake, upload, finished)
    with pytest.raises(NoThread):
        intake.begin(upload)
    assert rows(database, messages) == 0
