"""Letting go of what was kept long enough. The rows forget their keys; the sweep of dead intents deletes the objects.

Each step takes some messages that are old enough, oldest first, behind the place that the last one reached, and
returns the place that it reached itself; None when there are no more.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, text, update

from storage import intents
from storage.ids import first_id
from storage.tables import jobs, messages, search_entries, transcripts, voices

_AT_ONCE = 200
# Ids are made by other machines' clocks.
_CLOCKS_DIFFER_S = 3600
Step = Callable[[Connection, timedelta, str], str | None]


def originals(connection: Connection, kept: timedelta, after: str) -> str | None:
    """A failed voice keeps its recording: it can still be tried again."""
    done = voices.c.state.in_(("ready", "rejected"))
    rows = connection.execute(_old(kept, after, voices.c.original_key).where(voices.c.original_key.is_not(None), done))
    owners = {row.original_key: row.message_id for row in rows}
    return _forget(connection, owners, original_key=None)


def speech_audio(connection: Connection, kept: timedelta, after: str) -> str | None:
    rows = connection.execute(_old(kept, after, voices.c.speech_key).where(voices.c.speech_key.is_not(None)))
    return _forget(connection, {row.speech_key: row.message_id for row in rows}, speech_key=None)


def renditions(connection: Connection, kept: timedelta, after: str) -> str | None:
    """The message stays, with its length, waveform and text; it plays no more."""
    has_some = text("voices.renditions <> '[]'")
    rows = connection.execute(_old(kept, after, voices.c.renditions).where(has_some)).all()
    owners = {each["object_key"]: row.message_id for row in rows for each in row.renditions}
    return _forget(connection, owners, renditions=[])


def texts(connection: Connection, kept: timedelta, after: str) -> str | None:
    """All versions, the correction, and what the search knows."""
    rows = connection.execute(_old(kept, after, voices.c.transcript_id).where(voices.c.transcript_id.is_not(None)))
    ids = [row.message_id for row in rows]
    if not ids:
        return None
    stored = connection.execute(
        delete(transcripts)
        .where(transcripts.c.message_id.in_(ids))
        .returning(transcripts.c.message_id, transcripts.c.object_key)
    )
    intents.give_up(connection, {row.object_key: row.message_id for row in stored if row.object_key is not None})
    connection.execute(delete(search_entries).where(search_entries.c.message_id.in_(ids)))
    _change(connection, ids, transcript_id=None, corrected_text=None)
    return str(max(ids))


STEPS: Mapping[str, Step] = {
    "originals": originals,
    "speech_audio": speech_audio,
    "renditions": renditions,
    "transcripts": texts,
}


def _old(kept: timedelta, after: str, column: Any) -> Select[Any]:
    """A partial index leads over those that were let go before, and the id to where the young ones begin: neither is
    walked through every time."""
    before = first_id("msg", time.time() - kept.total_seconds() + _CLOCKS_DIFFER_S)
    # What was imported can be old enough before it has been worked on: that comes first.
    open_job = select(jobs.c.id).where(jobs.c.message_id == messages.c.id, jobs.c.state.in_(("queued", "running")))
    return (
        select(voices.c.message_id, column)
        .join(messages, messages.c.id == voices.c.message_id)
        .where(
            voices.c.message_id > after,
            voices.c.message_id < before,
            messages.c.created_at < func.clock_timestamp() - kept,
            ~open_job.exists(),
        )
        .order_by(voices.c.message_id)
        .limit(_AT_ONCE)
        .with_for_update(of=[messages, voices], key_share=True)
    )


def _forget(connection: Connection, owners: Mapping[str, str], **values: Any) -> str | None:
    if not owners:
        return None
    _change(connection, list(owners.values()), **values)
    intents.give_up(connection, owners)
    return max(owners.values())


def _change(connection: Connection, ids: Sequence[str], **values: Any) -> None:
    connection.execute(update(voices).where(voices.c.message_id.in_(ids)).values(**values))
