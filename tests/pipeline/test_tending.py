"""Uploads that nobody asks about any more."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from ingest.direct import Direct
from ingest.errors import Refused
from ingest.quota import Quota
from ingest.settings import IngestSettings
from ingest.voice import Intake
from pipeline import tending
from pipeline.context import Context
from pipeline.reaper import Reaper
from storage import uploads
from storage.keys import upload_key
from storage.messages import Message
from storage.tables import intents, messages, upload_chunks
from storage.tables import uploads as table
from storage.uploads import NewUpload
from tests.pipeline.conftest import SAMPLES

RECORDING = (SAMPLES / "room.m4a").read_bytes()


def test_a_full_upload_whose_client_never_came_back_becomes_its_message(
    context: Context, thread: str, read: Callable[[str], Message]
) -> None:
    upload_id = _full(context, thread, RECORDING)
    tending.finish_full(context)
    assert _message_of(context, upload_id) is None
    _age(context, upload_id, touched_at=timedelta(minutes=1))
    tending.finish_full(context)
    message_id = _message_of(context, upload_id)
    assert read(message_id or "").voice is not None
    _age(context, upload_id, touched_at=timedelta(minutes=1))
    tending.finish_full(context)
    assert _count(context, messages) == 1
    assert _count(context, upload_chunks) == 0


def test_a_full_upload_that_is_no_recording_is_refused_once(context: Context, thread: str) -> None:
    upload_id = _full(context, thread, b"no sound at all")
    _age(context, upload_id, touched_at=timedelta(minutes=1))
    tending.finish_full(context)
    with context.database.transaction() as connection:
        found = uploads.get(connection, upload_id, "alice", "tus")
        assert found is not None
        assert (found.state, found.error_code) == ("refused", "unsupported_format")
    assert _count(context, upload_chunks) == 0


def test_an_abandoned_upload_leaves_nothing(context: Context, thread: str) -> None:
    upload_id = _full(context, thread, RECORDING)
    tending.forget_uploads(context)
    assert _count(context, table) == 1
    _age(context, upload_id, expires_at=timedelta(seconds=1))
    tending.forget_uploads(context)
    assert (_count(context, table), _count(context, upload_chunks)) == (0, 0)


@pytest.mark.parametrize("finished", [True, False])
def test_what_lies_under_a_direct_uploads_key_is_swept_once_nobody_can_write_there(
    context: Context, thread: str, finished: bool
) -> None:
    with context.database.transaction() as connection:
        upload = uploads.create(connection, NewUpload("alice", "direct", thread, 5))
        upload_id = upload.id
        uploads.url_given(connection, upload_id)
        if finished:
            uploads.finish(connection, upload, "msg_made")
    key = upload_key(context.settings.storage.s3_prefix, upload_id)
    context.store.put(key, b"again", size=5, content_type="audio/mp4")
    tending.sweep_uploads(context)
    assert context.store.head(key) is not None
    _age(context, upload_id, sweep_at=timedelta(seconds=1), touched_at=timedelta(hours=2))
    tending.sweep_uploads(context)
    if not finished:
        assert context.store.head(key) is not None
        _age(context, upload_id, expires_at=timedelta(seconds=1))
        tending.forget_uploads(context)
        assert _count(context, table) == 1
        tending.sweep_uploads(context)
        tending.forget_uploads(context)
        assert _count(context, table) == 0
    assert context.store.head(key) is None


def test_nothing_of_abandoned_uploads_stays_in_the_store_or_in_the_tables(context: Context, thread: str) -> None:
    """Those that were begun, put, refused when completed, and put again after that."""
    prefix, length = context.settings.storage.s3_prefix, len(RECORDING)
    intake = Intake(context.database, context.store, prefix, Quota(IngestSettings()))
    direct = Direct(
        context.database, context.store, intake, Quota(IngestSettings()), prefix=prefix, ring=lambda _: None
    )
    with context.database.transaction() as connection:
        begun = uploads.create(connection, NewUpload("alice", "tus", thread, length)).id
        uploads.append(begun, "alice", 0, RECORDING[:5], holder=None, keep=False).on(connection)
        for sha256 in (None, "0" * 64):
            upload_id = direct.begin(connection, NewUpload("alice", "direct", thread, length, sha256=sha256))
            direct.grant(connection, upload_id, "alice")
            context.store.put(upload_key(prefix, upload_id), RECORDING, size=length, content_type="audio/mp4")
    with pytest.raises(Refused, match="SHA-256"):
        direct.complete(upload_id, "alice")
    assert len(list(context.store.list(prefix))) == 3
    assert (_count(context, table), _count(context, upload_chunks), _count(context, intents)) == (3, 1, 1)
    past = func.clock_timestamp() - timedelta(hours=3)
    with context.database.transaction() as connection:
        connection.execute(update(table).values(expires_at=past, touched_at=past))
        connection.execute(update(table).where(table.c.method == "direct").values(sweep_at=past))
    for _ in range(2):
        Reaper(context).tick()
    assert list(context.store.list(prefix)) == []
    assert (_count(context, table), _count(context, upload_chunks), _count(context, intents)) == (0, 0, 0)
    assert _count(context, messages) == 0


def test_a_sweep_before_its_time_comes_again(context: Context, thread: str) -> None:
    with context.database.transaction() as connection:
        upload_id = uploads.create(connection, NewUpload("alice", "direct", thread, 5)).id
        uploads.url_given(connection, upload_id)
    _age(context, upload_id, sweep_at=timedelta(seconds=1), expires_at=timedelta(seconds=1))
    tending.sweep_uploads(context)
    tending.forget_uploads(context)
    assert _count(context, table) == 1


def _full(context: Context, thread: str, body: bytes) -> str:
    with context.database.transaction() as connection:
        upload_id = uploads.create(connection, NewUpload("alice", "tus", thread, len(body))).id
        uploads.append(upload_id, "alice", 0, body, holder=None, keep=False).on(connection)
    return upload_id


def _age(context: Context, upload_id: str, **moments: timedelta) -> None:
    values = {name: func.clock_timestamp() - age for name, age in moments.items()}
    with context.database.transaction() as connection:
        connection.execute(update(table).where(table.c.id == upload_id).values(**values))


def _message_of(context: Context, upload_id: str) -> str | None:
    with context.database.transaction() as connection:
        return connection.execute(select(table.c.message_id).where(table.c.id == upload_id)).scalar()


def _count(context: Context, counted: object) -> int:
    with context.database.transaction() as connection:
        return connection.execute(select(func.count()).select_from(counted)).scalar_one()  # type: ignore[arg-type]
