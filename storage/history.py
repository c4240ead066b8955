"""The place of an imported recording in its thread: by the time when it was sent, before all that was sent here since.

Messages sent here are numbered 1, 2, 3 in the order of their commits. History is numbered below zero by its time, so it
is in order whatever was imported first, and no reader's mark has to move. Where it is younger than messages that were
sent here already, these become history too: they get numbers by their time, and readers' marks follow them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, Update, bindparam, func, or_, select, text, update

from storage import threads
from storage.tables import messages, participants
from storage.tables import threads as threads_table

# Unix time in milliseconds stays below this for the next 8,900 years.
_ZERO = 2**48


def open_thread(
    connection: Connection,
    external_id: str,
    *,
    creator: str,
    members: Sequence[str],
    title: str | None,
    sent_at: datetime,
) -> str:
    """The thread with this external id; a new one is as old as its first message and not on top of anybody's list."""
    thread_id, made = threads.create(connection, creator=creator, members=members, title=title, external_id=external_id)
    if made:
        connection.execute(_row(thread_id).values(created_at=sent_at, last_activity_at=sent_at))
    return thread_id


def place(connection: Connection, thread_id: str, sent_at: datetime) -> int:
    """The number for a message sent then; the thread stays locked until commit."""
    if threads.lock(connection, thread_id) == 0:
        _stretch(connection, thread_id, sent_at)
    else:
        _make_room(connection, thread_id, sent_at)
    wanted = _number(sent_at)
    taken = select(messages.c.id).where(messages.c.thread_id == thread_id, messages.c.seq == wanted)
    if connection.execute(taken).first() is None:
        return wanted
    free: int = connection.execute(_NEXT_FREE, {"thread_id": thread_id, "wanted": wanted}).scalar_one()
    return free


def _number(moment: datetime) -> int:
    return int(moment.timestamp() * 1000) - _ZERO


def _stretch(connection: Connection, thread_id: str, sent_at: datetime) -> None:
    """A thread that is all history lasts from its first to its last message."""
    columns = threads_table.c
    outside = or_(columns.created_at > sent_at, columns.last_activity_at < sent_at)
    connection.execute(
        _row(thread_id)
        .where(outside)
        .values(
            created_at=func.least(columns.created_at, sent_at),
            last_activity_at=func.greatest(columns.last_activity_at, sent_at),
        )
    )


def _row(thread_id: str) -> Update:
    return update(threads_table).where(threads_table.c.id == thread_id)


def _make_room(connection: Connection, thread_id: str, sent_at: datetime) -> None:
    """What was sent here before `sent_at` becomes history, each message once."""
    here = (messages.c.thread_id == thread_id) & (messages.c.seq > 0)
    first = connection.execute(select(messages.c.created_at).where(here).order_by(messages.c.seq).limit(1)).scalar()
    if first is None or first >= sent_at:
        return
    until = select(func.max(messages.c.seq)).where(here, messages.c.created_at < sent_at).scalar_subquery()
    columns = (messages.c.id, messages.c.seq, messages.c.created_at)
    older = connection.execute(select(*columns).where(here, messages.c.seq <= until).order_by(messages.c.seq)).all()
    numbers = _numbers(connection, thread_id, [row.created_at for row in older])
    for statement in _RENUMBER:
        connection.execute(statement, {"ids": [row.id for row in older], "numbers": numbers})
    _move_marks(connection, thread_id, [row.seq for row in older], numbers)


def _numbers(connection: Connection, thread_id: str, moments: Sequence[datetime]) -> list[int]:
    """By time, in the order in which they are, behind all history that is there."""
    newest = select(func.max(messages.c.seq)).where(messages.c.thread_id == thread_id, messages.c.seq <= 0)
    reached = connection.execute(newest).scalar()
    numbers: list[int] = []
    for moment in moments:
        reached = _number(moment) if reached is None else max(_number(moment), reached + 1)
        numbers.append(reached)
    return numbers


def _move_marks(connection: Connection, thread_id: str, before: Sequence[int], after: Sequence[int]) -> None:
    """Who had read up to the third of the messages has so still, and who joined after the third sees no more."""

    def moved(mark: int) -> int:
        if not 0 <= mark < before[-1]:
            return mark
        passed = bisect_right(before, mark)
        return after[passed - 1] if passed else after[0] - 1

    marks = (participants.c.visible_after_seq, participants.c.read_seq)
    behind = or_(*(mark.between(0, before[-1] - 1) for mark in marks))
    found = select(participants.c.user_id, *marks).where(participants.c.thread_id == thread_id, behind)
    # Who sends meanwhile holds their row's key, and waits for the thread.
    rows = connection.execute(found.with_for_update(key_share=True)).all()
    for row in rows:
        connection.execute(
            update(participants)
            .where(participants.c.thread_id == thread_id, participants.c.user_id == row.user_id)
            .values(visible_after_seq=moved(row.visible_after_seq), read_seq=moved(row.read_seq))
        )


def _renumber(table: str, key: str) -> Any:
    statement = text(
        f"UPDATE {table} SET seq = given.number FROM unnest(:ids, :numbers) AS given (id, number)"  # noqa: S608 - our own names
        f" WHERE {table}.{key} = given.id"
    )
    return statement.bindparams(bindparam("ids", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(BigInteger)))


_RENUMBER = (_renumber("messages", "id"), _renumber("search_entries", "message_id"))
# Several in one millisecond stand behind each other.
_NEXT_FREE = text(
    "SELECT m.seq + 1 FROM messages m WHERE m.thread_id = :thread_id AND m.seq >= :wanted AND NOT EXISTS"
    " (SELECT 1 FROM messages n WHERE n.thread_id = m.thread_id AND n.seq = m.seq + 1) ORDER BY m.seq LIMIT 1"
)
