"""Messages as one participant sees them, text and voice in one order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Select, Text, bindparam, delete, func, select, update

from storage import events, intents, jobs, search, threads, uploads
from storage.ids import new_id
from storage.tables import NOW, messages, participants, plays, search_entries, transcripts, voices

# Longer than any lease: by then whoever still wrote for a deleted message has found that it may not.
ERASURE_SETTLES_S = 600


@dataclass(frozen=True)
class StoredRendition:
    format: str
    mime_type: str
    object_key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class StoredTranscript:
    """One version; `text` is the machine's, the sender's correction stands in the voice."""

    id: str
    version: int
    state: str
    language: str | None
    language_probability: float | None
    confidence: float | None
    text: str | None
    model: str | None
    object_key: str | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True)
class Voice:
    state: str
    error_code: str | None
    error_message: str | None
    language_hint: str | None
    # None once its retention has ended.
    original_key: str | None
    container: str
    duration_ms: int | None
    loudness_lufs: float | None
    waveform: bytes | None
    speech_key: str | None
    corrected_text: str | None
    renditions: tuple[StoredRendition, ...]
    transcript: StoredTranscript | None

    def rendition(self, wanted: str | None) -> StoredRendition | None:
        """The rendition of this format, or the first one."""
        return next((r for r in self.renditions if wanted in (None, r.format)), None)


@dataclass(frozen=True)
class Message:
    id: str
    thread_id: str
    seq: int
    sender_id: str
    kind: str
    text: str | None
    external_id: str | None
    created_at: datetime
    voice: Voice | None
    read_by: list[str] = field(default_factory=list)
    played_by: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Original:
    """The recording as it was received and where it lies."""

    object_key: str
    size: int
    sha256: str
    container: str


def add_text(connection: Connection, thread_id: str, sender: str, text: str, external_id: str | None = None) -> str:
    message_id = _add(connection, new_id("msg"), thread_id, sender, kind="text", text=text, external_id=external_id)
    search.refresh(connection, message_id)
    return message_id


def get(connection: Connection, message_id: str, viewer: str) -> Message | None:
    """None when it does not exist, was deleted, or the viewer is not in its thread."""
    found = _found(connection, _ONE, {"viewer": viewer, "message_id": message_id})
    return found[0] if found else None


def by_ids(connection: Connection, ids: Sequence[str], viewer: str) -> dict[str, Message]:
    if not ids:
        return {}
    found = _found(connection, _SOME, {"viewer": viewer, "ids": list(ids)})
    return {message.id: message for message in found}


def told_to_all(connection: Connection, ids: Sequence[str]) -> dict[str, Message]:
    """Those that are not deleted, whoever looks: for events and webhooks, which know by themselves who may see them."""
    if not ids:
        return {}
    found = _found(connection, _TOLD, {"ids": list(ids)})
    return {message.id: message for message in found}


def page(connection: Connection, thread_id: str, viewer: str, *, limit: int, before_seq: int | None) -> list[Message]:
    """Newest first; `before_seq` is the last message's seq of the page before."""
    before = _MAX_SEQ if before_seq is None else before_seq
    return _found(connection, _PAGE, {"viewer": viewer, "thread_id": thread_id, "before": before, "limit": limit})


def renditions(connection: Connection, message_id: str) -> list[StoredRendition]:
    """Whoever asks: for links that carry their own permission. Empty when the message is gone or not ready."""
    rows = connection.execute(select(voices.c.renditions).where(voices.c.message_id == message_id)).scalar()
    return [StoredRendition(**fields) for fields in rows or ()]


def peaks(connection: Connection, message_id: str) -> bytes | None:
    """Up to 1,000 little-endian int16 (min, max) pairs."""
    return connection.execute(select(voices.c.peaks).where(voices.c.message_id == message_id)).scalar()


def seq_of(connection: Connection, message_id: str, thread_id: str, viewer: str) -> int | None:
    """The message's number in this thread; None when it is not there, was deleted, or the viewer can't see it."""
    query = (
        select(messages.c.seq)
        .join(participants, participants.c.thread_id == messages.c.thread_id)
        .where(messages.c.id == message_id, messages.c.thread_id == thread_id, messages.c.deleted_at.is_(None))
        .where(participants.c.user_id == viewer, messages.c.seq > participants.c.visible_after_seq)
    )
    return connection.execute(query).scalar()


def owner(connection: Connection, message_id: str) -> tuple[str, str, bool] | None:
    """(thread, sender, deleted) of a message or of its tombstone."""
    row = connection.execute(
        select(messages.c.thread_id, messages.c.sender_id, messages.c.deleted_at.is_not(None)).where(
            messages.c.id == message_id
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


def hold(connection: Connection, message_id: str, *, together: bool = False) -> None:
    """Keeps the message from being deleted before the transaction ends; with `together` others may do so too.

    For what writes of a message's content: what is not committed yet a deletion would not see. Read the message again
    then: it may be gone by now.
    """
    connection.execute(_SHARE if together else _HOLD, {"message_id": message_id})


def is_deleted(connection: Connection, message_id: str) -> bool:
    found = owner(connection, message_id)
    return found is None or found[2]


def remove(connection: Connection, message_id: str) -> bool:
    """Leaves a tombstone without content and an erasure of the message's objects; False when already gone."""
    return bool(remove_all(connection, [message_id]))


def remove_all(connection: Connection, ids: Sequence[str], *, quiet: bool = False) -> list[str]:
    """The same for many; returns those that were not gone already. `quiet`: nobody was told that they were there."""
    rows = connection.execute(
        update(messages)
        .where(messages.c.id.in_(ids), messages.c.deleted_at.is_(None))
        .values(deleted_at=NOW, text=None)
        .returning(messages.c.id, messages.c.thread_id, messages.c.sender_id, messages.c.kind)
    ).all()
    removed = [row.id for row in rows]
    if not removed:
        return []
    jobs.cancel_for_messages(connection, removed)
    for table in (plays, search_entries, transcripts, voices):
        connection.execute(delete(table).where(table.c.message_id.in_(removed)))
    uploads.strip(connection, {row.sender_id for row in rows}, removed)
    if spoken := [row.id for row in rows if row.kind == "voice"]:
        intents.erase_later(connection, spoken, settle_s=ERASURE_SETTLES_S)
    if not quiet:
        events.add_all(connection, "message.deleted", {row.id: row.thread_id for row in rows})
    return removed


def _add(connection: Connection, message_id: str, thread_id: str, sender: str, **values: str | None) -> str:
    seq = threads.next_seq(connection, thread_id)
    connection.execute(
        messages.insert().values(id=message_id, thread_id=thread_id, seq=seq, sender_id=sender, **values)
    )
    events.add(connection, "message.created", thread_id=thread_id, message_id=message_id)
    return message_id


def _found(connection: Connection, query: Select[Any], values: dict[str, Any]) -> list[Message]:
    """One query however many messages, with who has read and who has played each."""
    return [_message(row) for row in connection.execute(query, values).all()]


def _message(row: Any) -> Message:
    """Reads the row by places, in the order of `_whole`: a page is made of some two thousand values."""
    message_id, thread_id, seq, sender, kind, text, external_id, created_at = row[:_VOICE_AT]
    return Message(
        id=message_id,
        thread_id=thread_id,
        seq=seq,
        sender_id=sender,
        kind=kind,
        text=text,
        external_id=external_id,
        created_at=created_at,
        voice=None if row[_VOICE_AT] is None else _voice(row[_VOICE_AT:_TRANSCRIPT_AT], row[_TRANSCRIPT_AT:-2]),
        read_by=row[-2],
        played_by=row[-1],
    )


def _voice(values: Sequence[Any], transcript: Sequence[Any]) -> Voice:
    *before, made = values
    renditions = tuple(StoredRendition(**each) for each in made)
    shown = transcript[0] is not None and before[0] not in _ENDED
    everything: list[Any] = [*before, renditions, StoredTranscript(*transcript) if shown else None]
    return Voice(*everything)


def _whole() -> Select[Any]:
    reader = participants.alias("reader")
    # Never what was there before they joined.
    read = (reader.c.visible_after_seq < messages.c.seq) & (reader.c.read_seq >= messages.c.seq)
    read_by = _names(reader.c.user_id, reader.c.thread_id == messages.c.thread_id, read)
    played_by = _names(plays.c.user_id, plays.c.message_id == messages.c.id, plays.c.completed_at.is_not(None))
    return (
        select(*_MESSAGE, *_VOICE, *_TRANSCRIPT, read_by, played_by)
        .outerjoin(voices, voices.c.message_id == messages.c.id)
        .outerjoin(transcripts, transcripts.c.id == voices.c.transcript_id)
        .where(messages.c.deleted_at.is_(None))
    )


def _names(user: Any, *conditions: Any) -> Any:
    """Everybody but the sender."""
    query = select(user).where(*conditions, user != messages.c.sender_id).order_by(user)
    return func.array(query.correlate(messages).scalar_subquery(), type_=ARRAY(Text))


def _seen() -> Select[Any]:
    """By the person named by the parameter `viewer`."""
    me = participants.alias("me")
    return (
        _whole()
        .join(me, me.c.thread_id == messages.c.thread_id)
        .where(me.c.user_id == bindparam("viewer"), messages.c.seq > me.c.visible_after_seq)
    )


def _any_of(name: str) -> Any:
    return func.any(bindparam(name, type_=ARRAY(Text)))


_MAX_SEQ = 2**63 - 1
_ENDED = ("rejected", "failed")
# In the order of the dataclasses' fields; `renditions` and the transcript come last in Voice.
_MESSAGE = tuple(
    messages.c[name] for name in ("id", "thread_id", "seq", "sender_id", "kind", "text", "external_id", "created_at")
)
_VOICE = tuple(voices.c[field.name] for field in fields(Voice) if field.name != "transcript")
_TRANSCRIPT = tuple(transcripts.c[field.name] for field in fields(StoredTranscript))
_VOICE_AT = len(_MESSAGE)
_TRANSCRIPT_AT = _VOICE_AT + len(_VOICE)
# Made once: to put one of these together takes as long as to run it.
_ONE = _seen().where(messages.c.id == bindparam("message_id"))
_SOME = _seen().where(messages.c.id == _any_of("ids"))
_TOLD = _whole().where(messages.c.id == _any_of("ids"))
_PAGE = (
    _seen()
    .where(messages.c.thread_id == bindparam("thread_id"), messages.c.seq < bindparam("before"))
    .order_by(messages.c.seq.desc())
    .limit(bindparam("limit", type_=BigInteger))
)
_HOLD = jobs.LIVING_MESSAGE.with_for_update(key_share=True)
_SHARE = jobs.LIVING_MESSAGE.with_for_update(read=True)
