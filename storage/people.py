"""Erasing a person: what they said, wrote, heard and began to upload. Tombstones and ids of their messages stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from storage import messages
from storage.tables import (
    NOW,
    deliveries,
    erasures,
    events,
    participants,
    plays,
    transcripts,
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
    fresh = {"state": "running", "removed": {}, "requested_at": NOW, "finished_at": None}
    connection.execute(
        insert(user_erasures)
        .values(user_id=user_id, **fresh)
        .on_conflict_do_update(index_elements=["user_id"], set_=fresh, where=user_erasures.c.state == "done")
    )
    found = report(connection, user_id)
    assert found is not None
    return found


def report(connection: Connection, user_id: str) -> Report | None:
    row = connection.execute(select(user_erasures).where(user_erasures.c.user_id == user_id)).first()
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
    if removed := _remove_messages(connection, user_id):
        connection.execute(update(user_erasures).where(mine).values(removed=_sum(row.removed, removed)))
        return True
    total = _sum(row.removed, _remove_traces(connection, user_id))
    done = {} if _has_objects(connection, user_id) else {"state": "done", "finished_at": NOW}
    connection.execute(update(user_erasures).where(mine).values(removed=total, **done))
    return False


def _remove_messages(connection: Connection, user_id: str) -> dict[str, int]:
    mine = select(messages_table.c.id).where(
        messages_table.c.sender_id == user_id, messages_table.c.deleted_at.is_(None)
    )
    ids = connection.execute(mine.limit(_AT_ONCE)).scalars().all()
    if not ids:
        return {}
    counts = {
        "voices": _count(connection, voices, ids),
        "transcripts": _count(connection, transcripts, ids),
    }
    return {"messages": len(messages.remove_all(connection, ids)), **counts}


def _remove_traces(connection: Connection, user_id: str) -> dict[str, int]:
    """What is left once no message is: what they heard, where they were, what they began to upload."""
    for table in (events, deliveries):
        connection.execute(delete(table).where(table.c.user_id == user_id))
    direct = (uploads.c.user_id == user_id) & (uploads.c.method == "direct")
    connection.execute(update(uploads).where(direct, uploads.c.state == "open").values(expires_at=NOW, sweep_at=NOW))
    begun = delete(uploads).where(uploads.c.user_id == user_id, ~direct, uploads.c.state == "open")
    counted = {
        "plays": delete(plays).where(plays.c.user_id == user_id),
        "memberships": delete(participants).where(participants.c.user_id == user_id),
        "uploads": begun,
    }
    removed = {name: connection.execute(statement).rowcount for name, statement in counted.items()}
    # The name of a file says something of its sender.
    connection.execute(update(uploads).where(uploads.c.user_id == user_id).values(metadata=None))
    return removed


def _has_objects(connection: Connection, user_id: str) -> bool:
    """Whether objects of the person's messages may still be there."""
    left = (
        select(erasures.c.message_id)
        .join(messages_table, messages_table.c.id == erasures.c.message_id)
        .where(messages_table.c.sender_id == user_id, erasures.c.emptied.is_(False))
    )
    return connection.execute(left.limit(1)).first() is not None


def _count(connection: Connection, table: Any, ids: Sequence[str]) -> int:
    return int(connection.execute(select(func.count()).where(table.c.message_id.in_(ids))).scalar_one())


def _sum(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + more.get(name, 0) for name in {**before, **more}}
