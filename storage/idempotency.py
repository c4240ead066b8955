"""Idempotency-Key: one result per caller, path and key, kept for 7 days.

The key is locked while a request runs and for LOCK_S after its last sign of life, so a process that died lets go by
itself; the result is written in the transaction of the change, fenced by the owner's name.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.ids import new_id
from storage.tables import NOW, idempotency_keys

LOCK_S = 20
KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Claim:
    """The caller does the work; `owner` fences it."""

    user_id: str
    path: str
    key: str
    owner: str


@dataclass(frozen=True)
class Finished:
    """The work was done before."""

    fingerprint: str
    status: int
    resource_id: str


class InProgress(Exception):
    """Another request with this key runs, or has taken this one's place."""


def begin(connection: Connection, user_id: str, path: str, key: str) -> Claim | Finished:
    claim = Claim(user_id, path, key, new_id("own"))
    locked_until = func.clock_timestamp() + timedelta(seconds=LOCK_S)
    values = {"owner": claim.owner, "locked_until": locked_until, "created_at": NOW}
    stale = or_(
        idempotency_keys.c.created_at < func.clock_timestamp() - KEPT,
        idempotency_keys.c.status.is_(None) & (idempotency_keys.c.locked_until < func.clock_timestamp()),
    )
    taken = connection.execute(
        insert(idempotency_keys)
        .values(user_id=user_id, path=path, key=key, **values)
        .on_conflict_do_update(
            index_elements=["user_id", "path", "key"],
            set_={**values, "fingerprint": None, "status": None, "resource_id": None},
            where=stale,
        )
        .returning(idempotency_keys.c.owner)
    ).first()
    return claim if taken is not None else _finished(connection, claim)


def _finished(connection: Connection, claim: Claim) -> Finished:
    row = connection.execute(select(idempotency_keys).where(_row(claim))).one()
    if row.status is None:
        raise InProgress
    return Finished(row.fingerprint, row.status, row.resource_id)


def prolong(connection: Connection, claim: Claim) -> None:
    """A sign of life from a long upload; raises InProgress when another took over."""
    locked_until = func.clock_timestamp() + timedelta(seconds=LOCK_S)
    _update(connection, claim, locked_until=locked_until)


def complete(connection: Connection, claim: Claim, *, fingerprint: str, status: int, resource_id: str) -> None:
    _update(
        connection,
        claim,
        locked_until=None,
        fingerprint=fingerprint,
        status=status,
        resource_id=resource_id,
    )


def release(connection: Connection, claim: Claim) -> None:
    """Forgets the key of a request that was refused, so that it can be tried again."""
    connection.execute(
        delete(idempotency_keys).where(
            _row(claim), idempotency_keys.c.owner == claim.owner, idempotency_keys.c.status.is_(None)
        )
    )


def forget_old(connection: Connection) -> None:
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < func.clock_timestamp() - KEPT))


def _update(connection: Connection, claim: Claim, **values: object) -> None:
    changed = connection.execute(
        update(idempotency_keys)
        .where(_row(claim), idempotency_keys.c.owner == claim.owner, idempotency_keys.c.status.is_(None))
        .values(**values)
    )
    if changed.rowcount != 1:
        raise InProgress


def _row(claim: Claim):  # type: ignore[no-untyped-def]
    table = idempotency_keys.c
    return (table.user_id == claim.user_id) & (table.path == claim.path) & (table.key == claim.key)
