"""The event log: written in the transaction of the change it tells of, holding ids only.

Events get their positions after their commit, by whoever reads the log next (`arrange`), under one lock: a position
is never given behind one that somebody has read, and no transaction that stays open keeps others' events back, as it
would if readers waited for all transactions older than an event's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text, update

from storage.tables import event_log, events, messages, participants

CHANNEL = "earshot_events"
KEPT = timedelta(days=7)
EventType = Literal[
    "message.created",
    "voice.ready",
    "voice.rejected",
    "voice.failed",
    "transcript.completed",
    "transcript.failed",
    "message.deleted",
    "receipt.read",
    "receipt.played",
    "reprocess.progress",
]
TYPES: tuple[EventType, ...] = get_args(EventType)
# What one step of a reader takes at most.
STRIDE = 200
_TRIM_STRIDE = 5000


@dataclass(frozen=True)
class LoggedEvent:
    """`user_id` is whose receipt it is. That of a run, for operators, has no thread."""

    position: int
    type: str
    thread_id: str | None
    message_id: str | None
    user_id: str | None
    run_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class Extent:
    """Events with positions above `trimmed` and up to `last` can be read."""

    last: int
    trimmed: int


def add(
    connection: Connection,
    event_type: str,
    *,
    thread_id: str,
    message_id: str | None = None,
    user_id: str | None = None,
) -> None:
    values = {"type": event_type, "thread_id": thread_id, "message_id": message_id, "user_id": user_id}
    values["channel"] = CHANNEL
    connection.execute(_ADD, values)


def add_all(connection: Connection, event_type: str, owners: Mapping[str, str]) -> None:
    """The same event of many messages, given with their threads."""
    rows = [
        {"type": event_type, "thread_id": thread_id, "message_id": message_id}
        for message_id, thread_id in owners.items()
    ]
    connection.execute(insert(events).values(rows))
    connection.execute(select(func.pg_notify(CHANNEL, "")))


def add_progress(connection: Connection, run_id: str) -> None:
    connection.execute(
        insert(events).values(type="reprocess.progress", run_id=run_id).returning(func.pg_notify(CHANNEL, ""))
    )


def arrange(connection: Connection) -> Extent:
    """Gives positions to what was committed since; waits for whoever is just doing so."""
    unordered = select(events.c.id).where(events.c.position.is_(None))
    if connection.execute(unordered.limit(1)).first() is None:
        return extent(connection)
    last, trimmed = connection.execute(select(event_log.c.last, event_log.c.trimmed).with_for_update()).one()
    given = connection.execute(_GIVE, {"last": last}).rowcount
    connection.execute(update(event_log).values(last=last + given))
    return Extent(last + given, trimmed)


def extent(connection: Connection) -> Extent:
    return Extent(*connection.execute(select(event_log.c.last, event_log.c.trimmed)).one())


def between(connection: Connection, after: int, until: int) -> list[tuple[LoggedEvent, frozenset[str]]]:
    """Events with positions above `after` and up to `until`, and who may see each. Of what was deleted, only that."""
    audience = (
        select(func.array_agg(participants.c.user_id))
        .where(participants.c.thread_id == events.c.thread_id, _visible)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(*_EVENT, audience.label("audience"))
        .select_from(_LOG)
        .where(events.c.position > after, events.c.position <= until, _told)
        .order_by(events.c.position)
    )
    return [(LoggedEvent(*row[:-1]), frozenset(row.audience or ())) for row in rows]


def of_types(connection: Connection, types: Sequence[str], after: int, until: int) -> list[LoggedEvent]:
    """Of everybody's threads, what was deleted since too: whoever tells them asks again."""
    rows = connection.execute(
        select(*_EVENT)
        .where(events.c.position > after, events.c.position <= until, events.c.type.in_(types))
        .order_by(events.c.position)
    )
    return [LoggedEvent(*row) for row in rows]


def seen_by(
    connection: Connection, viewer: str, after: int, *, is_operator: bool = False, limit: int = STRIDE
) -> list[LoggedEvent]:
    """The next events of the viewer's threads, and an operator's of runs."""
    rows = connection.execute(
        select(*_EVENT)
        .select_from(_LOG.join(participants, participants.c.thread_id == events.c.thread_id))
        .where(participants.c.user_id == viewer, events.c.position > after, _visible, _told)
        .order_by(events.c.position)
        .limit(limit)
    ).all()
    found = [LoggedEvent(*row) for row in rows]
    if is_operator:
        of_runs = select(*_EVENT).where(events.c.position > after, events.c.run_id.is_not(None))
        found += [LoggedEvent(*row) for row in connection.execute(of_runs.order_by(events.c.position).limit(limit))]
    return sorted(found, key=lambda event: event.position)[:limit]


def trim(connection: Connection, *, kept: timedelta = KEPT) -> int:
    """Forgets what is older; returns how many events. The oldest first, so that what is left has no gap."""
    old = (
        select(events.c.position)
        .where(events.c.position.is_not(None))
        .order_by(events.c.position)
        .limit(_TRIM_STRIDE)
        .subquery()
    )
    fresh = select(func.min(events.c.position)).where(
        events.c.position.in_(select(old.c.position)), events.c.created_at >= func.clock_timestamp() - kept
    )
    until = func.coalesce(fresh.scalar_subquery() - 1, select(func.max(old.c.position)).scalar_subquery())
    reached = connection.execute(select(until)).scalar()
    if reached is None:
        return 0
    connection.execute(update(event_log).values(trimmed=func.greatest(event_log.c.trimmed, reached)))
    return connection.execute(delete(events).where(events.c.position <= reached)).rowcount


_EVENT: tuple[Any, ...] = (
    events.c.position,
    events.c.type,
    events.c.thread_id,
    events.c.message_id,
    events.c.user_id,
    events.c.run_id,
    events.c.created_at,
)
_ADD = text(
    "INSERT INTO events (type, thread_id, message_id, user_id) VALUES (:type, :thread_id, :message_id, :user_id)"
    " RETURNING pg_notify(:channel, '')"
)
_LOG = events.outerjoin(messages, messages.c.id == events.c.message_id)
_visible = participants.c.visible_after_seq < func.coalesce(messages.c.seq, text("9223372036854775807"))
_told = or_(
    events.c.message_id.is_(None),
    events.c.type == "message.deleted",
    and_(messages.c.id.is_not(None), messages.c.deleted_at.is_(None)),
)
_GIVE = text(
    "UPDATE events SET position = :last + chosen.number FROM"
    " (SELECT id, row_number() OVER (ORDER BY id) AS number FROM events WHERE position IS NULL ORDER BY id LIMIT 1000)"
    " AS chosen WHERE events.id = chosen.id"
)
