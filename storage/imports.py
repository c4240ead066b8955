"""What an import has brought already, so that bringing it again changes nothing."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, bindparam, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from storage import messages as stored
from storage.tables import imports, messages, transcripts, user_erasures, voices

_ENDED = ("rejected", "failed")
_WRITTEN = ("completed", "no_speech", "failed")


@dataclass(frozen=True)
class Known:
    """`error_code` says why it was refused; its message was withdrawn then."""

    key: str
    message_id: str
    error_code: str | None


@dataclass(frozen=True)
class Progress:
    """How far a message is. `state` is its voice's, `rejected` when it was withdrawn, None once somebody deleted it.
    `settled`: no work is left."""

    state: str | None
    error_code: str | None
    error_message: str | None
    settled: bool


def key_of(
    thread_id: str, external_id: str | None, sender: str, sent_at: datetime, sha256: str | None = None
) -> str | None:
    """What the same recording has every time it is imported; None where that takes its content's hash."""
    if external_id is not None:
        parts = [thread_id, external_id]
    elif sha256 is not None:
        parts = [thread_id, sender, sent_at.astimezone(UTC).isoformat(), sha256]
    else:
        return None
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find(connection: Connection, keys: Collection[str]) -> dict[str, Known]:
    if not keys:
        return {}
    rows = connection.execute(_FIND, {"keys": list(keys)})
    return {row.key: Known(*row) for row in rows}


def sent_here(connection: Connection, named: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """Messages, deleted ones too, that have these (thread, sender, external id), however they came."""
    if not named:
        return {}
    rows = connection.execute(
        select(messages.c.thread_id, messages.c.sender_id, messages.c.external_id, messages.c.id).where(
            tuple_(messages.c.thread_id, messages.c.external_id).in_({(each[0], each[2]) for each in named}),
            messages.c.external_id.is_not(None),
        )
    )
    found = {(row.thread_id, row.sender_id, row.external_id): row.id for row in rows}
    return {name: found[name] for name in named if name in found}


def claim(connection: Connection, key: str, message_id: str) -> str | None:
    """For the transaction that makes the message. The message as which this recording was brought before, if it was:
    the same one when a commit was not answered and is tried again."""
    made = connection.execute(
        insert(imports).values(key=key, message_id=message_id).on_conflict_do_nothing().returning(imports.c.key)
    )
    return None if made.first() is not None else find(connection, [key])[key].message_id


def erased(connection: Connection, users: Collection[str], sent_at: datetime) -> set[str]:
    """Those who had their traces erased since. What they said before must not come back, what they send later may."""
    rows = connection.execute(
        select(user_erasures.c.user_id).where(
            user_erasures.c.user_id.in_(users), user_erasures.c.requested_at >= sent_at
        )
    )
    return set(rows.scalars())


def withdraw(connection: Connection, message_id: str, code: str) -> None:
    """Takes the message away, for its recording can't be played, and remembers why. To those in the thread a rejected
    message from years ago would be news, and none that they can do anything about."""
    columns = (messages.c.external_id, messages.c.sender_id, messages.c.created_at, voices.c.original_sha256)
    row = connection.execute(
        select(messages.c.thread_id, *columns)
        .join(voices, voices.c.message_id == messages.c.id)
        .where(messages.c.id == message_id)
    ).first()
    if row is None:
        return
    mine = (imports.c.key == key_of(*row)) & (imports.c.message_id == message_id)
    connection.execute(update(imports).where(mine).values(error_code=code))
    stored.remove_all(connection, [message_id], quiet=True)


def forget_refused(connection: Connection, key: str) -> None:
    """So that it is tried again."""
    connection.execute(delete(imports).where(imports.c.key == key, imports.c.error_code.is_not(None)))


def progress(connection: Connection, keys: Mapping[str, str]) -> dict[str, Progress]:
    """Of messages, given with their imports' keys."""
    if not keys:
        return {}
    rows = connection.execute(_PROGRESS, {"ids": list(keys)}).all()
    gone = find(connection, [keys[row.id] for row in rows if row.state is None])
    return {row.id: _progress(row, gone.get(keys[row.id])) for row in rows}


def _progress(row: Any, gone: Known | None) -> Progress:
    if gone is not None and gone.error_code is not None:
        return Progress("rejected", gone.error_code, "it can't be played: its message was taken away again", True)
    return Progress(row.state, row.error_code, row.error_message, _settled(row))


def _settled(row: Any) -> bool:
    state, written = row.state, row.written
    return state is None or state in _ENDED or (state == "ready" and written in (None, *_WRITTEN))


def _any_of(name: str):  # type: ignore[no-untyped-def]
    return func.any(bindparam(name, type_=ARRAY(Text)))


_FIND = select(imports.c.key, imports.c.message_id, imports.c.error_code).where(imports.c.key == _any_of("keys"))
_PROGRESS = (
    select(
        messages.c.id,
        voices.c.state,
        voices.c.error_code,
        voices.c.error_message,
        transcripts.c.state.label("written"),
    )
    .outerjoin(voices, voices.c.message_id == messages.c.id)
    .outerjoin(transcripts, transcripts.c.id == voices.c.transcript_id)
    .where(messages.c.id == _any_of("ids"))
)
