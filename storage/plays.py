"""How far people have listened to messages, each on all their devices."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.tables import NOW, plays


@dataclass(frozen=True)
class Play:
    """How far somebody has listened; `completed` stays once it was."""

    position_ms: int
    completed: bool
    updated_at: datetime


def mark(
    connection: Connection, message_id: str, user_id: str, *, position_ms: int, completed: bool, age_ms: int = 0
) -> bool:
    """Keeps the latest position, of those that were `age_ms` ago when they were told; True for the person's first
    complete play, however many devices tell of it at once."""
    mine = (plays.c.message_id == message_id) & (plays.c.user_id == user_id)
    moment = func.clock_timestamp() - timedelta(milliseconds=age_ms)
    place = {"position_ms": position_ms, "updated_at": moment}
    connection.execute(insert(plays).values(message_id=message_id, user_id=user_id, **place).on_conflict_do_nothing())
    before = select(plays.c.completed_at, (plays.c.updated_at <= moment).label("is_older"))
    (heard_at, is_older) = connection.execute(before.where(mine).with_for_update()).one()
    now_heard = completed and heard_at is None
    # What is told as it happens counts even where the database's clock was put back.
    changed = {**(place if is_older or not age_ms else {}), **({"completed_at": NOW} if now_heard else {})}
    if changed:
        connection.execute(update(plays).where(mine).values(changed))
    return now_heard


def get(connection: Connection, message_id: str, user_id: str) -> Play | None:
    """Where the listener was last, on whichever device."""
    query = select(plays.c.position_ms, plays.c.completed_at.is_not(None), plays.c.updated_at)
    row = connection.execute(query.where(plays.c.message_id == message_id, plays.c.user_id == user_id)).first()
    return None if row is None else Play(*row)
