"""Letting go of what was kept long enough. The rows forget their keys; the sweep of dead intents deletes the objects.

Each step takes some messages that are old enough, oldest first, behind the place that the last one reached, and
returns the place that it reached itself; None when there are no more.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, text, update

from storage import intents
from storage.ids import first_id
from storage.tables import jobs, messages, search_entries, transcripts, voices

_AT_ONCE = 200
Step = Callable[[Connection, timedelta, str], str | None]


def originals(connection: Connection, kept: timedelta, after: str) -> str | None:
    """A failed voice keeps its recording: it can still be tried again."""
    has, done = voices.c.original_key.is_not(None), voices.c.state.in_(("ready", "rejected"))
    reached, rows = _old(connection, kept, after, voices.c.original_key, has & done)
    _forget(connection, {row.original_key: row.message_id for row in rows}, original_key=None)
    return reached


def speech_audio(connection: Connection, kept: timedelta, after: str) -> str | None:
    reached, rows = _old(connection, kept, after, voices.c.speech_key, voices.c.speech_key.is_not(None))
    _forget(connection, {row.speech_key: row.message_id for row in rows}, speech_key=None)
    return reached


def renditions(connection: Connection, kept: timedelta, after: str) -> str | None:
    """The message stays, with its length, waveform and text; it plays no more."""
    reached, rows = _old(connection, kept, after, voices.c.renditions, text("voices.renditions <> '[]'"))
    owners = {each["object_key"]: row.message_id for row in rows for each in row.renditions}
    _forget(connection, owners, renditions=[])
    return reached


def texts(connection: Connection, kept: timedelta, after: str) -> str | None:
    """All versions, the correction, and what the search knows."""
    reached, rows = _old(connection, kept, after, voices.c.transcript_id, voices.c.transcript_id.is_not(None))
    ids = [row.message_id for row in rows]
    stored = connection.execute(
        delete(transcripts)
        .where(transcripts.c.message_id.in_(ids))
        .returning(transcripts.c.message_id, transcripts.c.object_key)
    )
    intents.give_up(connection, {row.object_key: row.message_id for row in stored if row.object_key is not None})
    connection.execute(delete(search_entries).where(search_entries.c.message_id.in_(ids)))
    _change(connection, ids, transcript_id=None, corrected_text=None)
    return reached


STEPS: Mapping[str, Step] = {
    "originals": originals,
    "speech_audio": speech_audio,
    "renditions": renditions,
    "transcripts": texts,
}


def _old(
    connection: Connection, kept: timedelta, after: str, column: Any, has: Any
) -> tuple[str | None, Sequence[Row[Any]]]:
    """The place reached, and those of the messages up to there that are old enough and at rest, locked.

    Looked for in two steps: a partial index leads to those that still have something to be let go, and their ids to
    where the young ones begin. In one, the planner may go through all messages there are.
    """
    before = first_id("msg", time.time() - kept.total_seconds())
    oldest = select(voices.c.message_id).where(voices.c.message_id > after, voices.c.message_id < before, has)
    ids = connection.execute(oldest.order_by(voices.c.message_id).limit(_AT_ONCE)).scalars().all()
    if not ids:
        return None, []
    # What was imported can be old enough before it has been worked on: that comes first.
    open_job = select(jobs.c.id).where(jobs.c.message_id == messages.c.id, jobs.c.state.in_(("queued", "running")))
    rows = connection.execute(
        select(voices.c.message_id, column)
        .join(messages, messages.c.id == voices.c.message_id)
        .where(voices.c.message_id.in_(ids), has)
        .where(messages.c.created_at < func.clock_timestamp() - kept, ~open_job.exists())
        .with_for_update(of=[messages, voices], key_share=True)
    )
    return ids[-1], rows.all()


def _forget(connection: Connection, owners: Mapping[str, str], **values: Any) -> None:
    _change(connection, list(owners.values()), **values)
    intents.give_up(connection, owners)


def _change(connection: Connection, ids: Sequence[str], **values: Any) -> None:
    connection.execute(update(voices).where(voices.c.message_id.in_(ids)).values(**values))
