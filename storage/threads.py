"""Threads and who is in them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Select,
    Text,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from storage.ids import new_id
from storage.tables import NOW, messages, participants, plays, threads, voices

MAX_PARTICIPANTS = 256
# Below the number of every message, that of imported history too.
EVERYTHING = -(2**53)
# What is unread or unplayed is counted among this many newest messages: nobody waits for a count of 100,000.
COUNTED = 1_000


@dataclass(frozen=True)
class Thread:
    """A thread as one participant sees it; `last_message_id` is the newest that is not deleted, and the counts are of
    the newest COUNTED messages."""

    id: str
    external_id: str | None
    title: str | None
    created_at: datetime
    last_activity_at: datetime
    participants: list[str]
    last_message_id: str | None
    unread_count: int
    unplayed_count: int


def create(
    connection: Connection,
    *,
    creator: str,
    members: Sequence[str],
    title: str | None = None,
    external_id: str | None = None,
) -> tuple[str, bool]:
    """Returns (id, made); an `external_id` that exists gives its thread unchanged."""
    made = connection.execute(
        insert(threads)
        .values(id=new_id("thr"), created_by=creator, title=title, external_id=external_id)
        .on_conflict_do_nothing(index_elements=["external_id"])
        .returning(threads.c.id)
    ).scalar()
    if made is None:
        query = select(threads.c.id).where(threads.c.external_id == external_id)
        return connection.execute(query).scalar_one(), False
    everybody = dict.fromkeys([creator, *members])
    connection.execute(participants.insert(), [{"thread_id": made, "user_id": user} for user in everybody])
    return made, True


def get(connection: Connection, thread_id: str, viewer: str) -> Thread | None:
    """None when there is no such thread or the viewer is not in it: the two look alike from outside."""
    row = connection.execute(_seen_by(viewer).where(threads.c.id == thread_id)).first()
    return None if row is None else Thread(**row._mapping)


def get_unseen(connection: Connection, thread_id: str) -> Thread:
    """As somebody who is not in it sees it: without messages. For the host application only."""
    query = select(
        threads.c.id,
        threads.c.external_id,
        threads.c.title,
        threads.c.created_at,
        threads.c.last_activity_at,
        _member_list().label("participants"),
    ).where(threads.c.id == thread_id)
    row = connection.execute(query).one()
    return Thread(**row._mapping, last_message_id=None, unread_count=0, unplayed_count=0)


def creator(connection: Connection, thread_id: str) -> str | None:
    return connection.execute(select(threads.c.created_by).where(threads.c.id == thread_id)).scalar()


def page(connection: Connection, viewer: str, *, limit: int, before: tuple[datetime, str] | None) -> list[Thread]:
    """The viewer's threads, newest activity first; `before` is the last row's (last_activity_at, id)."""
    query = _seen_by(viewer).order_by(threads.c.last_activity_at.desc(), threads.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(threads.c.last_activity_at, threads.c.id) < before)
    return [Thread(**row._mapping) for row in connection.execute(query)]


def has_member(connection: Connection, thread_id: str, user_id: str, *, staying: bool = False) -> bool:
    """With `staying` they can't leave before the transaction ends."""
    query = _IS_STAYING if staying else _IS_MEMBER
    return connection.execute(query, {"thread": thread_id, "user": user_id}).first() is not None


def named(connection: Connection, ids: Collection[str], external_ids: Collection[str]) -> dict[tuple[str, str], str]:
    """Ids of the threads that exist, by ("id", …) and ("external_id", …)."""
    by_name = or_(threads.c.id.in_(ids), threads.c.external_id.in_(external_ids))
    found: dict[tuple[str, str], str] = {}
    for row in connection.execute(select(threads.c.id, threads.c.external_id).where(by_name)):
        found["id", row.id] = row.id
        if row.external_id is not None:
            found["external_id", row.external_id] = row.id
    return found


def members(connection: Connection, thread_id: str) -> list[str]:
    query = select(participants.c.user_id).where(participants.c.thread_id == thread_id)
    return list(connection.execute(query.order_by(participants.c.user_id)).scalars())


def members_among(connection: Connection, thread_ids: Iterable[str], users: Sequence[str]) -> dict[str, set[str]]:
    """Which of `users` are in each of the threads."""
    found: dict[str, set[str]] = defaultdict(set)
    query = select(participants.c.thread_id, participants.c.user_id).where(
        participants.c.thread_id.in_(set(thread_ids)),
        participants.c.user_id == func.any(literal(list(users), ARRAY(Text))),
    )
    for row in connection.execute(query):
        found[row.thread_id].add(row.user_id)
    return found


def add_member(connection: Connection, thread_id: str, user_id: str, *, history: bool = False) -> bool:
    """False when the thread is full. Adding who is already in changes nothing.

    Who joins sees what is said from then on, with `history` also what was said before.
    """
    last_seq = lock(connection, thread_id)
    if has_member(connection, thread_id, user_id):
        return True
    count = select(func.count()).where(participants.c.thread_id == thread_id)
    if connection.execute(count).scalar_one() >= MAX_PARTICIPANTS:
        return False
    visible_after = EVERYTHING if history else last_seq
    connection.execute(
        participants.insert().values(thread_id=thread_id, user_id=user_id, visible_after_seq=visible_after)
    )
    return True


def remove_member(connection: Connection, thread_id: str, user_id: str) -> None:
    connection.execute(delete(participants).where(_membership(thread_id, user_id)))


def lock(connection: Connection, thread_id: str) -> int:
    """Keeps messages and people from being added meanwhile; returns the number of the last message."""
    query = select(threads.c.last_seq).where(threads.c.id == thread_id).with_for_update(key_share=True)
    return int(connection.execute(query).scalar_one())


def next_seq(connection: Connection, thread_id: str) -> int:
    """The number of the thread's next message; holds the thread's row until commit, so numbers follow commits."""
    number: int = connection.execute(
        update(threads)
        .where(threads.c.id == thread_id)
        .values(last_seq=threads.c.last_seq + 1, last_activity_at=NOW)
        .returning(threads.c.last_seq)
    ).scalar_one()
    return number


def mark_read(connection: Connection, thread_id: str, user_id: str, seq: int) -> bool:
    """True when this moved the reader's mark; it never moves back."""
    moved = connection.execute(
        update(participants).where(_membership(thread_id, user_id), participants.c.read_seq < seq).values(read_seq=seq)
    )
    return moved.rowcount == 1


def _seen_by(viewer: str) -> Select[Any]:
    me = participants.alias("me")
    return (
        select(
            threads.c.id,
            threads.c.external_id,
            threads.c.title,
            threads.c.created_at,
            threads.c.last_activity_at,
            _member_list().label("participants"),
            _last_message(me).label("last_message_id"),
            _unread(me).label("unread_count"),
            _unplayed(me).label("unplayed_count"),
        )
        .join(me, me.c.thread_id == threads.c.id)
        .where(me.c.user_id == viewer)
    )


def _member_list() -> Any:
    everybody = participants.alias("everybody")
    names = select(everybody.c.user_id).where(everybody.c.thread_id == threads.c.id).order_by(everybody.c.user_id)
    # An empty list, not none at all, once everybody has left.
    return func.array(names.correlate(threads).scalar_subquery(), type_=ARRAY(Text))


def _last_message(me: Any) -> Any:
    return select(messages.c.id).where(*_visible(me)).order_by(messages.c.seq.desc()).limit(1).scalar_subquery()


def _unread(me: Any) -> Any:
    others = _newest_of_others(me, func.greatest(me.c.visible_after_seq, me.c.read_seq))
    return select(func.count()).select_from(others).scalar_subquery()


def _unplayed(me: Any) -> Any:
    others = _newest_of_others(me, me.c.visible_after_seq)
    heard = (
        select(plays.c.message_id)
        .where(
            plays.c.message_id == others.c.id,
            plays.c.user_id == me.c.user_id,
            plays.c.completed_at.is_not(None),
        )
        .exists()
    )
    # Not what was refused, has failed, or was let go.
    on_its_way = voices.c.state.in_(("received", "processing"))
    plays_now = or_(on_its_way, voices.c.renditions != text("'[]'"))
    playable = select(voices.c.message_id).where(voices.c.message_id == others.c.id, plays_now).exists()
    # Nobody has to catch up on history.
    return select(func.count()).where(others.c.kind == "voice", others.c.seq > 0, ~heard, playable).scalar_subquery()


def _newest_of_others(me: Any, after: Any) -> Any:
    """Others' messages among the newest COUNTED numbered above `after`."""
    newest = (
        select(*(messages.c[name] for name in ("id", "seq", "kind", "sender_id", "deleted_at")))
        .where(messages.c.thread_id == threads.c.id, messages.c.seq > after)
        .order_by(messages.c.seq.desc())
        .limit(COUNTED)
        .correlate(me, threads)
        .subquery()
    )
    alive = newest.c.deleted_at.is_(None)
    return select(newest).where(alive, newest.c.sender_id != me.c.user_id).correlate(me, threads).subquery()


def _visible(me: Any) -> tuple[Any, ...]:
    return (
        messages.c.thread_id == threads.c.id,
        messages.c.seq > me.c.visible_after_seq,
        messages.c.deleted_at.is_(None),
    )


def _membership(thread_id: Any, user_id: Any) -> Any:
    return (participants.c.thread_id == thread_id) & (participants.c.user_id == user_id)


# Made once: to put one of these together takes as long as to run it.
_IS_MEMBER = select(participants.c.user_id).where(_membership(bindparam("thread"), bindparam("user")))
_IS_STAYING = _IS_MEMBER.with_for_update(read=True, key_share=True)
