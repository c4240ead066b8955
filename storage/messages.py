"""Messages as one participant sees them, text and voice in one order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from storage import events, intents, jobs, search, threads
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
) -> None:
    """The message, its voice, its pending transcript and the media job, for the transaction that accepts an upload."""
    _add(connection, message_id, thread_id, sender, kind="voice", external_id=external_id)
    transcript_id = new_id("tra")
    connection.execute(
        transcripts.insert().values(
            id=transcript_id, message_id=message_id, version=1, state="pending", requested_language=language
        )
    )
    connection.execute(
        voices.insert().values(
            message_id=message_id,
            state="received",
            language_hint=language,
            original_key=original.object_key,
            original_size=original.size,
            original_sha256=original.sha256,
            container=original.container,
            transcript_id=transcript_id,
        )
    )
    jobs.add(connection, "media", message_id, lane=lane)
    intents.settle(connection, [original.object_key])


def get(connection: Connection, message_id: str, viewer: str) -> Message | None:
    """None when it does not exist, was deleted, or the viewer is not in its thread."""
    found = _with_receipts(connection, _seen_by(viewer).where(messages.c.id == message_id))
    return found[0] if found else None


def by_ids(connection: Connection, ids: Sequence[str], viewer: str) -> dict[str, Message]:
    if not ids:
        return {}
    found = _with_receipts(connection, _seen_by(viewer).where(messages.c.id.in_(ids)))
    return {message.id: message for message in found}


def told_to_all(connection: Connection, ids: Sequence[str]) -> dict[str, Message]:
    """Those that are not deleted, whoever looks: for events and webhooks, which know by themselves who may see them."""
    if not ids:
        return {}
    found = _with_receipts(connection, _whole().where(messages.c.id.in_(ids), messages.c.deleted_at.is_(None)))
    return {message.id: message for message in found}


def page(connection: Connection, thread_id: str, viewer: str, *, limit: int, before_seq: int | None) -> list[Message]:
    """Newest first; `before_seq` is the last message's seq of the page before."""
    query = _seen_by(viewer).where(messages.c.thread_id == thread_id)
    query = query.order_by(messages.c.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(messages.c.seq < before_seq)
    return _with_receipts(connection, query)


def renditions(connection: Connection, message_id: str) -> list[StoredRendition]:
    """Whoever asks: for links that carry their own permission. Empty when the message is gone or not ready."""
    rows = connection.execute(select(voices.c.renditions).where(voices.c.message_id == message_id)).scalar()
    return [StoredRendition(**fields) for fields in rows or ()]


def peaks(connection: Connection, message_id: str) -> bytes | None:
    """Up to 1,000 little-endian int16 (min, max) pairs."""
    return connection.execute(select(voices.c.peaks).where(voices.c.message_id == message_id)).scalar()


def seq_of(connection: Connection, message_id: str, thread_id: str) -> int | None:
    """The message's number in this thread; None when it is not there or was deleted."""
    query = select(messages.c.seq).where(
        messages.c.id == message_id, messages.c.thread_id == thread_id, messages.c.deleted_at.is_(None)
    )
    return connection.execute(query).scalar()


def mark_played(connection: Connection, message_id: str, user_id: str, *, position_ms: int, completed: bool) -> bool:
    """Keeps the latest position; True for the person's first complete play."""
    heard_before = connection.execute(
        select(plays.c.completed_at).where(plays.c.message_id == message_id, plays.c.user_id == user_id)
    ).scalar()
    done = NOW if completed else None
    statement = insert(plays).values(message_id=message_id, user_id=user_id, position_ms=position_ms, completed_at=done)
    first = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["message_id", "user_id"],
            set_={
                "position_ms": statement.excluded.position_ms,
                "completed_at": func.coalesce(plays.c.completed_at, statement.excluded.completed_at),
                "updated_at": NOW,
            },
        ).returning(plays.c.completed_at)
    ).scalar()
    return completed and heard_before is None and first is not None


def owner(connection: Connection, message_id: str) -> tuple[str, str, bool] | None:
    """(thread, sender, deleted) of a message or of its tombstone."""
    row = connection.execute(
        select(messages.c.thread_id, messages.c.sender_id, messages.c.deleted_at.is_not(None)).where(
            messages.c.id == message_id
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


def remove(connection: Connection, message_id: str) -> bool:
    """Leaves a tombstone without content and an erasure of the message's objects; False when already gone."""
    return bool(remove_all(connection, [message_id]))


def remove_all(connection: Connection, ids: Sequence[str]) -> list[str]:
    """The same for many; returns those that were not gone already."""
    rows = connection.execute(
        update(messages)
        .where(messages.c.id.in_(ids), messages.c.deleted_at.is_(None))
        .values(deleted_at=NOW, text=None)
        .returning(messages.c.id, messages.c.thread_id)
    ).all()
    removed = [row.id for row in rows]
    if not removed:
        return []
    jobs.cancel_for_messages(connection, removed)
    for table in (plays, search_entries, transcripts, voices):
        connection.execute(delete(table).where(table.c.message_id.in_(removed)))
    intents.erase_later(connection, removed, settle_s=ERASURE_SETTLES_S)
    events.add_all(connection, "message.deleted", {row.id: row.thread_id for row in rows})
    return removed


def _add(connection: Connection, message_id: str, thread_id: str, sender: str, **values: str | None) -> str:
    seq = threads.next_seq(connection, thread_id)
    connection.execute(
        messages.insert().values(id=message_id, thread_id=thread_id, seq=seq, sender_id=sender, **values)
    )
    events.add(connection, "message.created", thread_id=thread_id, message_id=message_id)
    return message_id


def _seen_by(viewer: str) -> Select[Any]:
    me = participants.alias("me")
    return (
        _whole()
        .join(me, me.c.thread_id == messages.c.thread_id)
        .where(
            me.c.user_id == viewer,
            messages.c.seq > me.c.visible_after_seq,
            messages.c.deleted_at.is_(None),
        )
    )


def _whole() -> Select[Any]:
    return (
        select(
            *messages.c,
            voices.c.state.label("voice_state"),
            *(voices.c[name].label(f"voice_{name}") for name in _VOICE),
            *(transcripts.c[name].label(f"transcript_{name}") for name in _TRANSCRIPT),
        )
        .outerjoin(voices, voices.c.message_id == messages.c.id)
        .outerjoin(transcripts, transcripts.c.id == voices.c.transcript_id)
    )


_VOICE = (
    "error_code",
    "error_message",
    "language_hint",
    "original_key",
    "container",
    "duration_ms",
    "loudness_lufs",
    "waveform",
    "speech_key",
    "corrected_text",
    "renditions",
)
_TRANSCRIPT = (
    "id",
    "version",
    "state",
    "language",
    "language_probability",
    "confidence",
    "text",
    "model",
    "object_key",
    "error_code",
    "error_message",
)


def _with_receipts(connection: Connection, query: Select[Any]) -> list[Message]:
    """Three queries however many messages: the rows, who has read how far, who has played what."""
    rows = connection.execute(query).all()
    if not rows:
        return []
    readers = _readers(connection, {row.thread_id for row in rows})
    players = _players(connection, [row.id for row in rows if row.kind == "voice"])
    return [_message(row, readers[row.thread_id], players[row.id]) for row in rows]


def _readers(connection: Connection, thread_ids: set[str]) -> dict[str, list[tuple[str, range]]]:
    """Who has read which numbers: never those from before they joined."""
    rows = connection.execute(
        select(
            participants.c.thread_id,
            participants.c.user_id,
            participants.c.visible_after_seq,
            participants.c.read_seq,
        )
        .where(participants.c.thread_id.in_(thread_ids), participants.c.read_seq > 0)
        .order_by(participants.c.user_id)
    )
    readers: dict[str, list[tuple[str, range]]] = defaultdict(list)
    for row in rows:
        readers[row.thread_id].append((row.user_id, range(row.visible_after_seq + 1, row.read_seq + 1)))
    return readers


def _players(connection: Connection, message_ids: Sequence[str]) -> dict[str, list[str]]:
    players: dict[str, list[str]] = defaultdict(list)
    if not message_ids:
        return players
    rows = connection.execute(
        select(plays.c.message_id, plays.c.user_id)
        .where(plays.c.message_id.in_(message_ids), plays.c.completed_at.is_not(None))
        .order_by(plays.c.user_id)
    )
    for row in rows:
        players[row.message_id].append(row.user_id)
    return players


def _message(row: Any, readers: list[tuple[str, range]], played_by: list[str]) -> Message:
    return Message(
        id=row.id,
        thread_id=row.thread_id,
        seq=row.seq,
        sender_id=row.sender_id,
        kind=row.kind,
        text=row.text,
        external_id=row.external_id,
        created_at=row.created_at,
        voice=None if row.voice_state is None else _voice(row),
        read_by=[user for user, read in readers if row.seq in read and user != row.sender_id],
        played_by=[user for user in played_by if user != row.sender_id],
    )


def _voice(row: Any) -> Voice:
    values = {name: getattr(row, f"voice_{name}") for name in _VOICE}
    values["renditions"] = tuple(StoredRendition(**fields) for fields in row.voice_renditions)
    transcript = None
    if row.transcript_id is not None and row.voice_state not in ("rejected", "failed"):
        transcript = StoredTranscript(**{name: getattr(row, f"transcript_{name}") for name in _TRANSCRIPT})
    return Voice(state=row.voice_state, transcript=transcript, **values)
