"""Slots of messages that may be made soon: the original of each may be put, although no row names its key.

What an intent is for one key, and one commit for many of them. A slot is the random part of an id, which is made when
it is used, so that ids sort by the time of their messages. The transaction that makes the message takes its slot out.
Slots of a process that died are swept: whoever uses one later is told so and puts the original again.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text

from storage.driver import Query, Statement
from storage.intents import TRUSTED
from storage.tables import reservations

# By the clock of who made it.
USED_WITHIN_S = 2.0
_TTL_S = 30.0


def reservation(slots: Sequence[str], since: float) -> Query[None]:
    """`since` is Unix time by the clock of who will use them, not before that and within USED_WITHIN_S."""
    return Query(_RESERVE, {"slots": list(slots), "since": since, "ttl_s": _TTL_S}, _nothing)


def release(slots: Collection[str]) -> Query[None]:
    """For those by which nothing was put, or of which the originals are known by other rows."""
    return Query(_RELEASE, {"slots": list(slots)}, _nothing)


def any_before(connection: Connection, moment: datetime) -> bool:
    """Whether an original may be on its way by one that was made before."""
    query = select(reservations.c.slot).where(reservations.c.made_at <= moment).limit(1)
    return connection.execute(query).first() is not None


def known(connection: Connection, slots: Collection[str]) -> set[str]:
    return set(connection.execute(select(reservations.c.slot).where(reservations.c.slot.in_(slots))).scalars())


def dead(connection: Connection, *, limit: int = 200) -> dict[str, float]:
    """Slots with their `since`, locked until the transaction ends: whoever wants to make a message by one waits, and
    another reaper passes by."""
    due = reservations.c.expires_at <= func.clock_timestamp()
    query = select(reservations.c.slot, reservations.c.since).where(due).limit(limit).with_for_update(skip_locked=True)
    return {row.slot: row.since for row in connection.execute(query)}


def forget_old(connection: Connection) -> int:
    """Leaves what very old ones may have put to the guarded sweep; returns how many they were."""
    old = reservations.c.expires_at < func.clock_timestamp() - TRUSTED
    return connection.execute(delete(reservations).where(old)).rowcount


def _nothing(_: object) -> None:
    return None


_RESERVE = Statement(
    text(
        "INSERT INTO reservations (slot, since, expires_at)"
        " SELECT unnest(CAST(:slots AS text[])), :since, clock_timestamp() + make_interval(secs => :ttl_s)"
    )
)
_RELEASE = Statement(text("DELETE FROM reservations WHERE slot = ANY(CAST(:slots AS text[])) RETURNING 1"))
