"""Which objects may exist that no row refers to yet, and which prefixes are to be emptied.

A key is written here before its PUT and taken out in the transaction that refers to it. What a dead intent left is
deleted by the reaper; a deleted message's prefix is emptied until no worker can still be writing into it.

A key is doomed before its object is deleted: a sweep that dies in between, or does not hear that S3 did it, must not
leave an intent that somebody can still refer by.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from storage.errors import ObjectSwept, StorageUnavailable
from storage.tables import NOW, erasures, intents

# An intent that ran out longer ago is from a database that was restored, or nobody swept for as long: the object that
# it names may be a voice that this database has forgotten.
TRUSTED = timedelta(hours=1)
_ERASE_RETRY_S = 3
_ERASE_AGAIN_S = 60
_MANY = 5_000
_DOOMED: ColumnElement[datetime] = literal_column("'-infinity'::timestamptz")
# Somebody may still refer to its key.
ALIVE = intents.c.expires_at > _DOOMED


def declare(
    connection: Connection, message_id: str, keys: Iterable[str], *, ttl_s: float, sender: str | None = None
) -> None:
    """StorageUnavailable when one of the keys is doomed: its object may be deleted at any moment, so not now.
    `sender` is whose original it is."""
    owners = dict.fromkeys(keys, message_id)
    if declare_all(connection, owners, ttl_s=ttl_s, sender=sender) != owners.keys():
        raise being_swept()


def declare_all(
    connection: Connection, owners: Mapping[str, str], *, ttl_s: float, sender: str | None = None
) -> set[str]:
    """Keys are given with their message ids; returned are those that are not doomed."""
    values = {"keys": list(owners), "message_ids": list(owners.values()), "ttl_s": ttl_s, "sender": sender}
    return set(connection.execute(_DECLARE, values).scalars())


def being_swept() -> StorageUnavailable:
    return StorageUnavailable("an object of the same name is being swept")


def settle(connection: Connection, keys: Iterable[str]) -> None:
    """For the transaction that refers to the keys; ObjectSwept when one was swept meanwhile: put it again."""
    wanted = set(keys)
    settled = connection.execute(_SETTLE, {"keys": list(wanted)})
    if settled.rowcount != len(wanted):
        raise ObjectSwept("an object was swept before anything referred to it")


def expire(connection: Connection, keys: Iterable[str]) -> None:
    """Gives the keys up. The sweep deletes their objects unless a row refers to them: two workers that made the same
    bytes have the same key, and the one that lost its lease must not delete what the other has finished."""
    connection.execute(update(intents).where(intents.c.object_key.in_(list(keys)), ALIVE).values(expires_at=NOW))


def doom(connection: Connection, *, limit: int = 200) -> int:
    """From the commit on, nobody can refer to these keys of dead intents any more; returns how many they are."""
    dead = (
        select(intents.c.object_key)
        .where(intents.c.expires_at < func.clock_timestamp(), ALIVE)
        .order_by(intents.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(update(intents).where(intents.c.object_key.in_(dead)).values(expires_at=_DOOMED)).rowcount


def doomed(connection: Connection, *, limit: int = 200) -> dict[str, str]:
    """Keys with their message ids, locked against another reaper until the transaction ends."""
    rows = connection.execute(
        select(intents.c.object_key, intents.c.message_id)
        .where(intents.c.expires_at == _DOOMED)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return {row.object_key: row.message_id for row in rows}


def forget_old(connection: Connection) -> int:
    """Leaves what very old intents name to the guarded sweep; returns how many they were."""
    old = and_(intents.c.expires_at < func.clock_timestamp() - TRUSTED, ALIVE)
    return connection.execute(delete(intents).where(old)).rowcount


def give_up(connection: Connection, owners: Mapping[str, str], *, sender: str | None = None) -> None:
    """For keys (with their message ids) that no row refers to any more: the sweep deletes their objects."""
    if owners:
        known = {"expires_at": NOW, "sender_id": sender}
        rows = [{"object_key": key, "message_id": owner, **known} for key, owner in owners.items()]
        connection.execute(insert(intents).values(rows).on_conflict_do_nothing())


def withdraw(connection: Connection, message_id: str, keys: Collection[str], *, sender: str | None = None) -> None:
    """For what was put and came to nothing, also where its intents were swept before it was put."""
    expire(connection, keys)
    give_up(connection, dict.fromkeys(keys, message_id), sender=sender)


def forget(connection: Connection, keys: Iterable[str]) -> None:
    connection.execute(delete(intents).where(intents.c.object_key.in_(list(keys))))


def many_expired(connection: Connection) -> bool:
    """More than the sweep gets through in a minute or so."""
    dead = select(intents.c.object_key).where(intents.c.expires_at < func.clock_timestamp()).limit(_MANY).subquery()
    return connection.execute(select(func.count()).select_from(dead)).scalar_one() == _MANY


def erase_later(connection: Connection, message_ids: Iterable[str], *, settle_s: float) -> None:
    settle_at = func.clock_timestamp() + timedelta(seconds=settle_s)
    rows = [{"message_id": message_id, "settle_at": settle_at} for message_id in message_ids]
    connection.execute(insert(erasures).values(rows).on_conflict_do_nothing())


def due_erasures(connection: Connection, *, limit: int = 200) -> list[str]:
    """Message ids whose objects are to be deleted now. Each comes again soon unless `erased` is called."""
    due = (
        select(erasures.c.message_id)
        .where(erasures.c.run_after <= func.clock_timestamp())
        # What was deleted just now before what is only looked at again.
        .order_by(erasures.c.emptied, erasures.c.run_after)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(erasures)
        .where(erasures.c.message_id.in_(due))
        .values(run_after=func.clock_timestamp() + timedelta(seconds=_ERASE_RETRY_S))
        .returning(erasures.c.message_id)
    )
    return [row.message_id for row in rows]


def erased(connection: Connection, message_id: str) -> None:
    """The prefix is empty: forgets the erasure once nobody can be writing there any more, looks again until then, and
    soon where somebody has declared that he will."""
    mine = erasures.c.message_id == message_id
    connection.execute(delete(erasures).where(mine, erasures.c.settle_at < NOW))
    declared = select(intents.c.object_key).where(intents.c.message_id == message_id).exists()
    pause_s = case((declared, _ERASE_RETRY_S), else_=_ERASE_AGAIN_S)
    again = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, pause_s)
    connection.execute(update(erasures).where(mine).values(run_after=again, emptied=True))


# Made once: to put one of these together takes as long as to run it.
_ALIVE = "intents.expires_at > '-infinity'"
_DECLARE = text(
    "INSERT INTO intents (object_key, message_id, expires_at, sender_id)"  # noqa: S608 - our own words
    " SELECT key, message_id, clock_timestamp() + :ttl_s * interval '1 second', CAST(:sender AS text)"
    " FROM unnest(CAST(:keys AS text[]), CAST(:message_ids AS text[])) AS declared (key, message_id) ORDER BY key"
    f" ON CONFLICT (object_key) DO UPDATE SET expires_at = excluded.expires_at WHERE {_ALIVE} RETURNING object_key"
)
# Each number of keys is a statement of its own: Postgres keeps its plan, while it plans for an array, whose length it
# can't know, at each call.
_SETTLE = text(f"DELETE FROM intents WHERE object_key IN :keys AND {_ALIVE}").bindparams(  # noqa: S608
    bindparam("keys", expanding=True, type_=Text)
)
