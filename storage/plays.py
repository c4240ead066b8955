"""How far people have listened to messages, each on all their devices."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.tables import NOW, plays


@dataclass(frozen=True)
class Play:
    """How far somebody has listened; `completed` stays once it was."""

    position_ms: int
    completed: bool
    updated_at: datetime


def mark(connection: Connection, message_id: str, user_id: str, *, position_ms: int, completed: bool) -> bool:
    """Keeps the latest position; True for the person's first complete play, however many devices tell of it at once."""
    mine = (plays.c.message_id == message_id) & (plays.c.user_id == user_id)
    connection.execute(
        insert(plays).values(message_id=message_id, user_id=user_id, position_ms=position_ms).on_conflict_do_nothing()
    )
    heard_at = connection.execute(select(plays.c.completed_at).where(mine).with_for_update()).scalar()
    now_heard = {"completed_at": NOW} if completed and heard_at is None else {}
    connection.execute(update(plays).where(mine).values(position_ms=position_ms, updated_at=NOW, **now_heard))
    return bool(now_heard)


def get(connection: Connection, message_id: str, user_id: str) -> Play | None:
    """Where the listener was last, on whichever device."""
    query = select(plays.c.position_ms, plays.c.completed_at.is_not(None), plays.c.updated_at)
    row = connection.execute(query.where(plays.c.message_id == message_id, plays.c.user_id == user_id)).first()
    return None if row is None else Play(*row)
