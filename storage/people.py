"""Erasing a person: what they said, wrote, heard and began to upload. Tombstones and ids of their messages stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from storage import messages, reservations
from storage.tables import (
    NOW,
    deliveries,
    erasures,
    events,
    idempotency_keys,
    intents,
    participants,
    plays,
    transcripts,
    upload_usage,
    uploads,
    user_erasures,
    voices,
)
from storage.tables import messages as messages_table

_AT_ONCE = 100


@dataclass(frozen=True)
class Report:
    """`removed` counts messages, voices, transcripts, plays, memberships and uploads."""

    user_id: str
    state: Literal["running", "done"]
    removed: dict[str, int]
    requested_at: datetime
    finished_at: datetime | None


def request(connection: Connection, user_id: str) -> Report:
    """Begins, or begins again when an earlier one is done. `step` does the work."""
    fresh = {"state": "running", "removed": {}, "reached": "", "requested_at": NOW, "finished_at": None}
    connection.execute(
        insert(user_erasures)
        .values(user_id=user_id, **fresh)
        .on_conflict_do_update(index_elements=["user_id"], set_=fresh, where=user_erasures.c.state == "done")
    )
    found = report(connection, user_id)
    assert found is not None
    return found


def report(connection: Connection, user_id: str) -> Report | None:
    columns = [user_erasures.c[field.name] for field in fields(Report)]
    row = connection.execute(select(*columns).where(user_erasures.c.user_id == user_id)).first()
    return None if row is None else Report(**row._mapping)


def running(connection: Connection, *, limit: int = 20) -> list[str]:
    query = select(user_erasures.c.user_id).where(user_erasures.c.state == "running")
    return list(connection.execute(query.order_by(user_erasures.c.requested_at).limit(limit)).scalars())


def step(connection: Connection, user_id: str) -> bool:
    """Does a part; False when there is nothing to do at once: all is done, waits for objects, or another does it."""
    mine = (user_erasures.c.user_id == user_id) & (user_erasures.c.state == "running")
    row = connection.execute(select(user_erasures).where(mine).with_for_update(skip_locked=True)).first()
    if row is None:
        return False
    removed = _sum(row.removed, _remove_traces(connection, user_id))
    ids = _next_messages(connection, user_id, row.reached)
    changed: dict[str, Any] = {
        "removed": _sum(removed, _remove_messages(connection, ids)),
        "reached": max(ids, default=""),
    }
    # Once more from the start before it is done: an id may be older than its message's arrival.
    ended = not ids and not row.reached and not _has_objects(connection, user_id, row.requested_at)
    if ended:
        changed |= {"state": "done", "finished_at": NOW}
    connection.execute(update(user_erasures).where(mine).values(changed))
    return bool(ids or row.reached)


def _remove_traces(connection: Connection, user_id: str) -> dict[str, int]:
    """Where they were, first of all: whoever just sends something in their name is waited for, and nobody can later.
    Then what they heard and uploaded, and what we remember of their calls."""
    removed = {"memberships": delete(participants), "plays": delete(plays)}
    counts = {name: connection.execute(_of(user_id, what)).rowcount for name, what in removed.items()}
    for table in (events, deliveries, idempotency_keys, upload_usage):
        connection.execute(_of(user_id, delete(table)))
    return {**counts, "uploads": _remove_uploads(connection, user_id)}


def _remove_uploads(connection: Connection, user_id: str) -> int:
    """Of those to S3 the rows stay until nobody can put anything at their URLs any more."""
    direct, fresh = uploads.c.method == "direct", uploads.c.expires_at > func.clock_timestamp()
    emptied = {"metadata": None, "external_id": None, "content_type": None, "sha256": None}
    expired = update(uploads).where(direct, fresh).values(expires_at=NOW, sweep_at=NOW, **emptied)
    return sum(connection.execute(_of(user_id, what)).rowcount for what in (delete(uploads).where(~direct), expired))


def _of(user_id: str, statement: Any) -> Any:
    return statement.where(statement.table.c.user_id == user_id)


def _next_messages(connection: Connection, user_id: str, after: str) -> Sequence[str]:
    mine = select(messages_table.c.id).where(
        messages_table.c.sender_id == user_id, messages_table.c.id > after, messages_table.c.deleted_at.is_(None)
    )
    return connection.execute(mine.order_by(messages_table.c.id).limit(_AT_ONCE)).scalars().all()


def _remove_messages(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    if not ids:
        return {}
    counts = {
        "voices": _count(connection, voices, ids),
        "transcripts": _count(connection, transcripts, ids),
    }
    return {"messages": len(messages.remove_all(connection, ids)), **counts}


def _has_objects(connection: Connection, user_id: str, since: datetime) -> bool:
    """Whether objects of the person's messages, or what they put that became none, may still be there. Nobody knows by
    whom the originals are that reservations stand for: those of a process that died are waited for, too."""
    left = (
        select(erasures.c.message_id)
        .join(messages_table, messages_table.c.id == erasures.c.message_id)
        .where(messages_table.c.sender_id == user_id, erasures.c.emptied.is_(False))
    )
    unswept = select(uploads.c.id).where(uploads.c.user_id == user_id, uploads.c.sweep_at <= func.clock_timestamp())
    pending = select(intents.c.object_key).where(intents.c.sender_id == user_id)
    # Of what came to nothing, by whomever it is.
    no_message = ~select(messages_table.c.id).where(messages_table.c.id == erasures.c.message_id).exists()
    unused = select(erasures.c.message_id).where(no_message, erasures.c.emptied.is_(False))
    queries = (left, unswept, pending, unused)
    return reservations.any_before(connection, since) or any(
        connection.execute(query.limit(1)).first() is not None for query in queries
    )


def _count(connection: Connection, table: Any, ids: Sequence[str]) -> int:
    return int(connection.execute(select(func.count()).where(table.c.message_id.in_(ids))).scalar_one())


def _sum(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + more.get(name, 0) for name in {**before, **more}}
