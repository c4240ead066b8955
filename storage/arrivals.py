"""The arrival of a recording: its message, voice, pending transcript and media job.

Uploads are the most frequent writes. What belongs to them alone is one statement, built once.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, delete, select, true

from storage import events, history, jobs, threads
from storage.errors import ObjectSwept
from storage.ids import new_id
from storage.intents import ALIVE
from storage.messages import Original
from storage.tables import intents, messages, participants, transcripts, voices

_NEW = "new_"


def add_voice(
    connection: Connection,
    message_id: str,
    thread_id: str,
    sender: str,
    original: Original,
    *,
    language: str | None,
    external_id: str | None,
    lane: jobs.Lane = jobs.Lane.LIVE,
    sent_at: datetime | None = None,
) -> None:
    """For the transaction that accepts an upload; ObjectSwept when the original was swept meanwhile: put it again.

    `sent_at` makes it history: it takes its place by that time and nobody is told of it.
    """
    is_history = sent_at is not None
    values = {
        "id": message_id,
        "thread_id": thread_id,
        "seq": _place(connection, thread_id, sent_at),
        "sender_id": sender,
        "external_id": external_id,
        "transcript_id": new_id("tra"),
        "language": language,
        "object_key": original.object_key,
        "size": original.size,
        "sha256": original.sha256,
        "container": original.container,
        **({"created_at": sent_at} if is_history else {}),
    }
    arrival = _HISTORY if is_history else _ARRIVAL
    if connection.execute(arrival, {_NEW + name: value for name, value in values.items()}).first() is None:
        raise ObjectSwept("the original was swept before anything referred to it")
    jobs.add(connection, "media", message_id, lane=lane, quiet=is_history)
    if not is_history:
        events.add(connection, "message.created", thread_id=thread_id, message_id=message_id)


def _place(connection: Connection, thread_id: str, sent_at: datetime | None) -> int:
    if sent_at is None:
        return threads.next_seq(connection, thread_id)
    return history.place(connection, thread_id, sent_at)


def _new(name: str) -> BindParameter[Any]:
    """Named like no column: the library would fill every table's column of that name."""
    return bindparam(_NEW + name)


def _arrival(*more: str) -> Select[tuple[str, str]]:
    """Gives the original's key when its intent was there to be settled. A sender who is in the thread stays in it,
    and is not erased, before the transaction ends."""
    message = messages.insert().values(
        {name: _new(name) for name in ("id", "thread_id", "seq", "sender_id", "external_id", *more)} | {"kind": "voice"}
    )
    transcript = transcripts.insert().values(
        id=_new("transcript_id"),
        message_id=_new("id"),
        version=1,
        state="pending",
        requested_language=_new("language"),
    )
    voice = voices.insert().values(
        message_id=_new("id"),
        state="received",
        language_hint=_new("language"),
        original_key=_new("object_key"),
        original_size=_new("size"),
        original_sha256=_new("sha256"),
        container=_new("container"),
        transcript_id=_new("transcript_id"),
    )
    mine = (intents.c.object_key == _new("object_key")) & ALIVE
    settled = delete(intents).where(mine).returning(intents.c.object_key)
    kept = settled.cte("settled")
    member = (
        select(participants.c.user_id)
        .where(participants.c.thread_id == _new("thread_id"), participants.c.user_id == _new("sender_id"))
        .with_for_update(read=True, key_share=True)
        .cte("member")
    )
    found = select(kept.c.object_key, member.c.user_id).select_from(kept.outerjoin(member, true()))
    return found.add_cte(message.cte("message"), transcript.cte("transcript"), voice.cte("voice"))


_ARRIVAL = _arrival()
_HISTORY = _arrival("created_at")
