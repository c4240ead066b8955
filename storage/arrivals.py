"""The arrival of a recording: its message, voice, pending transcript and media job.

Uploads are the most frequent writes: each is one statement, which does everything or nothing. Who listens for events is
told afterwards (`storage.bell.Teller`): transactions with a NOTIFY can only commit one after the other.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from itertools import product
from typing import Any

from sqlalchemy import Connection, text

from storage import history, idempotency
from storage.driver import Query, Statement
from storage.errors import ObjectSwept
from storage.idempotency import Once
from storage.ids import new_id, randomness_of
from storage.jobs import Lane
from storage.messages import Message, Original, StoredTranscript, Voice
from storage.usage import Allowance


def expectation(
    message_id: str,
    object_key: str,
    size: int,
    thread_id: str,
    sender: str,
    *,
    ttl_s: float,
    allowance: Allowance | None = None,
) -> Query[bool]:
    """Declares the key of an original that is about to be put; False, and nothing, for who is not in the thread or has
    no room for it in their `allowance`."""
    values = {"id": message_id, "object_key": object_key, "thread_id": thread_id, "sender_id": sender, "ttl_s": ttl_s}
    if allowance is None:
        return Query(_EXPECTATION, values, bool)
    return Query(_ALLOWED_EXPECTATION, {**values, "size": size, **allowance.values}, bool)


def arrival(
    message_id: str,
    thread_id: str,
    sender: str,
    original: Original,
    *,
    language: str | None,
    external_id: str | None,
    lane: Lane = Lane.LIVE,
    history_place: tuple[int, datetime] | None = None,
    allowance: Allowance | None = None,
    reserved: bool = False,
    once: Once | None = None,
) -> Query[Message | None]:
    """The message as its sender sees it. None, and nothing, where they are not in the thread, an `allowance` that it is
    counted against has no room for it, or the key of `once` is taken. ObjectSwept when the original was swept
    meanwhile: put it again. `idempotency.LOST` when another request got the key meanwhile.
    `reserved` says that the original was put by a reservation of the id's slot, not by an intent of its key.

    With a place of its own (its number and time) it is history: whoever is in the thread, and nobody is told of it.
    """
    seq, sent_at = history_place or (None, None)
    values = {
        "id": message_id,
        "slot": randomness_of(message_id),
        "thread_id": thread_id,
        "sender_id": sender,
        "external_id": external_id,
        "sent_at": sent_at,
        "seq": seq,
        "transcript_id": new_id("tra"),
        "language": language,
        "object_key": original.object_key,
        "size": original.size,
        "sha256": original.sha256,
        "container": original.container,
        "job_id": new_id("job"),
        "lane": int(lane),
    }
    asked = {**values, **(allowance.values if allowance else {}), **(once.values(message_id) if once else {})}
    return Query(_ARRIVALS[reserved, allowance is not None, once is not None], asked, partial(_arrived, values))


def add_voice(
    connection: Connection,
    message_id: str,
    thread_id: str,
    sender: str,
    original: Original,
    *,
    language: str | None,
    external_id: str | None,
    lane: Lane = Lane.LIVE,
    sent_at: datetime | None = None,
) -> Message | None:
    """`arrival` in a transaction; `sent_at` makes it history, which takes its place by that time."""
    place = None if sent_at is None else (history.place(connection, thread_id, sent_at), sent_at)
    return arrival(
        message_id,
        thread_id,
        sender,
        original,
        language=language,
        external_id=external_id,
        lane=lane,
        history_place=place,
    ).on(connection)


def _arrived(values: Mapping[str, Any], rows: list[tuple[Any, ...]]) -> Message | None:
    ((members, seq, created_at),) = rows
    if seq is not None:
        return _message(values, seq, created_at)
    if members or values["sent_at"] is not None:
        raise ObjectSwept("the original was swept before anything referred to it")
    return None


def _message(values: Mapping[str, Any], seq: int, created_at: datetime) -> Message:
    """As its sender would read it now."""
    return Message(
        id=values["id"],
        thread_id=values["thread_id"],
        seq=seq,
        sender_id=values["sender_id"],
        kind="voice",
        text=None,
        external_id=values["external_id"],
        created_at=created_at,
        voice=_voice(values),
    )


def _voice(values: Mapping[str, Any]) -> Voice:
    return Voice(
        state="received",
        error_code=None,
        error_message=None,
        language_hint=values["language"],
        original_key=values["object_key"],
        container=values["container"],
        duration_ms=None,
        loudness_lufs=None,
        waveform=None,
        speech_key=None,
        corrected_text=None,
        renditions=(),
        transcript=_pending(values["transcript_id"]),
    )


def _pending(transcript_id: str) -> StoredTranscript:
    return StoredTranscript(
        id=transcript_id,
        version=1,
        state="pending",
        language=None,
        language_probability=None,
        confidence=None,
        text=None,
        model=None,
        object_key=None,
        error_code=None,
        error_message=None,
    )


def _expectation(condition: str) -> Statement:
    return Statement(
        text(
            "INSERT INTO intents (object_key, message_id, expires_at, sender_id)"  # noqa: S608 - our own words
            " SELECT :object_key, :id, clock_timestamp() + make_interval(secs => :ttl_s), user_id"
            f" FROM participants WHERE thread_id = :thread_id AND user_id = :sender_id{condition} RETURNING 1"
        )
    )


_EXPECTATION = _expectation("")
_ALLOWED_EXPECTATION = _expectation("""
    AND NOT EXISTS (
        SELECT FROM upload_usage
        WHERE user_id = :sender_id AND hour = date_trunc('hour', clock_timestamp())
            AND (messages >= :most_messages OR bytes + :size > :most_bytes)
    )
""")


def _participant(condition: str) -> str:
    """A sender who is in the thread stays in it, and is not erased, before the transaction ends."""
    return (
        "SELECT user_id FROM participants"  # noqa: S608
        f" WHERE thread_id = :thread_id AND user_id = :sender_id{condition} FOR KEY SHARE"
    )


# By what the original was put; taken out by who makes a message of it.
_INTENT = "intents WHERE object_key = :object_key AND expires_at > '-infinity'"
_RESERVATION = "reservations WHERE slot = :slot"


def _counted(participant: str, held: str) -> str:
    """Before anything else is written: what is refused leaves what is `held` as it is, and what was swept costs
    nothing."""
    return f"""
    participant AS ({participant}), original AS (
        SELECT FROM {held} FOR UPDATE
    ), member AS (
        INSERT INTO upload_usage AS used (user_id, hour, messages, bytes)
        SELECT user_id, date_trunc('hour', clock_timestamp()), 1, :size FROM participant
        WHERE :size <= :most_bytes
            AND EXISTS (SELECT FROM original)
        ON CONFLICT (user_id, hour) DO UPDATE SET messages = used.messages + 1, bytes = used.bytes + excluded.bytes
            WHERE used.messages < :most_messages AND used.bytes + excluded.bytes <= :most_bytes
        RETURNING user_id
    )
"""  # noqa: S608


def _arrival(held: str, *, is_counted: bool, is_keyed: bool) -> Statement:
    """Each part feeds the next: where one finds nothing, the rest does nothing. With a number of its own a message is
    history, and no event. The key's result comes after the thread, as in transactions that write it."""
    participant = _participant(f" AND NOT EXISTS ({idempotency.TAKEN})" if is_keyed else "")
    member = _counted(participant, held) if is_counted else f"member AS ({participant})"
    result = f", result AS ({idempotency.result('next')})" if is_keyed else ""
    return Statement(
        text(f"""
    WITH {member}, settled AS (
        DELETE FROM {held} AND (CAST(:seq AS bigint) IS NOT NULL OR EXISTS (SELECT FROM member))
        RETURNING 1
    ), next AS (
        UPDATE threads SET last_seq = last_seq + 1, last_activity_at = clock_timestamp()
        WHERE id = :thread_id AND CAST(:seq AS bigint) IS NULL AND EXISTS (SELECT FROM settled)
        RETURNING last_seq
    ), place AS (
        SELECT last_seq AS seq FROM next
        UNION ALL SELECT CAST(:seq AS bigint) FROM settled WHERE CAST(:seq AS bigint) IS NOT NULL
    ), message AS (
        INSERT INTO messages (id, thread_id, seq, sender_id, kind, external_id, created_at)
        SELECT :id, :thread_id, seq, :sender_id, 'voice', :external_id,
            coalesce(CAST(:sent_at AS timestamptz), clock_timestamp())
        FROM place
        RETURNING seq, created_at
    ), transcript AS (
        INSERT INTO transcripts (id, message_id, version, state, requested_language)
        SELECT :transcript_id, :id, 1, 'pending', :language FROM place
    ), voice AS (
        INSERT INTO voices (message_id, state, language_hint, original_key, original_size, original_sha256, container,
            transcript_id)
        SELECT :id, 'received', :language, :object_key, :size, :sha256, :container, :transcript_id FROM place
    ), job AS (
        INSERT INTO jobs (id, queue, lane, state, message_id, quiet)
        SELECT :job_id, 'media', :lane, 'queued', :id, CAST(:seq AS bigint) IS NOT NULL FROM place
    ), event AS (
        INSERT INTO events (type, thread_id, message_id) SELECT 'message.created', :thread_id, :id FROM next
    ){result}
    SELECT (SELECT count(*) FROM member) AS members, message.seq, message.created_at
    FROM (SELECT) AS one LEFT JOIN message ON true
""")  # noqa: S608
    )


# Whether it is reserved, counted, and has a key.
_ARRIVALS = {
    (held == _RESERVATION, is_counted, is_keyed): _arrival(held, is_counted=is_counted, is_keyed=is_keyed)
    for held, is_counted, is_keyed in product((_INTENT, _RESERVATION), (False, True), (False, True))
}
