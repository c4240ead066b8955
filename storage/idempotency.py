"""Idempotency-Key: one result per caller, path and key, kept for 7 days.

The key is locked while a request runs and for LOCK_S after its last sign of life, so a process that died lets go by
itself; the result is written in the transaction of the change, fenced by the owner's name.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import Connection, delete, func, select, text

from storage.driver import Query, Statement
from storage.ids import new_id
from storage.tables import idempotency_keys

LOCK_S = 20
KEPT = timedelta(days=7)
# What a statement with a `result` raises, having done nothing, where another request got the key while it ran.
LOST = psycopg.errors.NotNullViolation


@dataclass(frozen=True)
class Claim:
    """For one request; `owner` fences it."""

    user_id: str
    path: str
    key: str
    owner: str = field(default_factory=lambda: new_id("own"))

    @property
    def values(self) -> dict[str, Any]:
        """For the statements below."""
        return {"user_id": self.user_id, "path": self.path, "key": self.key, "owner": self.owner, "kept": KEPT}


@dataclass(frozen=True)
class Finished:
    """The work was done before."""

    fingerprint: str
    status: int
    resource_id: str


class InProgress(Exception):
    """Another request with this key runs, or has taken this one's place."""


@dataclass(frozen=True)
class Once:
    """What is made once for the claim's key; `fingerprint` is of all that was asked for."""

    claim: Claim
    fingerprint: str
    status: int = 201

    def values(self, resource_id: str) -> dict[str, Any]:
        """For statements with a `result`."""
        made = {"fingerprint": self.fingerprint, "status": self.status, "resource_id": resource_id}
        return {**self.claim.values, **made}

    def complete(self, connection: Connection, resource_id: str) -> None:
        """In the transaction that makes it. Raises InProgress when another request took over."""
        if not _COMPLETE.changed(connection, self.values(resource_id)):
            raise InProgress


def begin(connection: Connection, claim: Claim) -> Finished | None:
    """None for who is to do the work: the key is theirs."""
    if lock(claim).on(connection):
        return None
    row = connection.execute(select(idempotency_keys).where(_row(claim))).one()
    if row.status is None:
        raise InProgress
    return Finished(row.fingerprint, row.status, row.resource_id)


def lock(claim: Claim, thread_id: str | None = None) -> Query[bool]:
    """Whether the key is theirs, for LOCK_S from now; asked again it is a sign of life. With a thread, only as long as
    they are in it: nothing is left of who is erased."""
    values = {**claim.values, "lock_s": LOCK_S}
    if thread_id is None:
        return Query(_LOCK, values, bool)
    return Query(_LOCK_IN, {**values, "thread_id": thread_id}, bool)


def is_finished(claim: Claim) -> Query[bool]:
    """Whether the key has a result."""
    return Query(_FINISHED, claim.values, bool)


def release(claim: Claim) -> Query[bool]:
    """Forgets the key of a request that was refused, so that it can be tried again."""
    return Query(_RELEASE, claim.values, bool)


def forget_old(connection: Connection) -> None:
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < func.clock_timestamp() - KEPT))


def _row(claim: Claim):  # type: ignore[no-untyped-def]
    table = idempotency_keys.c
    return (table.user_id == claim.user_id) & (table.path == claim.path) & (table.key == claim.key)


# Of a row of another request or of our own.
_FREE = """(
    held.created_at < clock_timestamp() - CAST(:kept AS interval)
    OR (held.status IS NULL AND (held.owner = :owner OR held.locked_until < clock_timestamp()))
)"""


def _lock(source: str) -> Statement:
    return Statement(
        text(f"""
    INSERT INTO idempotency_keys AS held (user_id, path, key, owner, locked_until, created_at)
    SELECT :user_id, :path, :key, :owner, clock_timestamp() + make_interval(secs => :lock_s), clock_timestamp() {source}
    ON CONFLICT (user_id, path, key) DO UPDATE SET
        owner = excluded.owner, locked_until = excluded.locked_until, created_at = excluded.created_at,
        fingerprint = NULL, status = NULL, resource_id = NULL
    WHERE {_FREE}
    RETURNING 1
""")
    )


_LOCK = _lock("")
_LOCK_IN = _lock("FROM participants WHERE thread_id = :thread_id AND user_id = :user_id FOR KEY SHARE")
_OURS = "user_id = :user_id AND path = :path AND key = :key AND owner = :owner AND status IS NULL"
_COMPLETE = Statement(
    text(
        "UPDATE idempotency_keys SET locked_until = NULL, fingerprint = :fingerprint, status = :status,"  # noqa: S608
        f" resource_id = :resource_id WHERE {_OURS}"
    )
)
_RELEASE = Statement(text(f"DELETE FROM idempotency_keys WHERE {_OURS} RETURNING 1"))  # noqa: S608
# Where this selects something, another request has the key or has used it.
TAKEN = f"""
    SELECT 1 FROM idempotency_keys AS held
    WHERE held.user_id = :user_id AND held.path = :path AND held.key = :key AND NOT {_FREE}
"""  # noqa: S608
_FINISHED = Statement(text(f"{TAKEN} AND held.status IS NOT NULL"))


def result(made: str) -> str:
    """For a statement that makes something together with its result, and nothing where TAKEN selects something: its
    part `made` has a row where it does. Takes the values of `Once`. An owner that is NULL undoes all of it."""
    return f"""
        INSERT INTO idempotency_keys AS held (user_id, path, key, owner, fingerprint, status, resource_id, created_at)
        SELECT :user_id, :path, :key, :owner, :fingerprint, :status, :resource_id, clock_timestamp() FROM {made}
        ON CONFLICT (user_id, path, key) DO UPDATE SET
            owner = CASE WHEN {_FREE} THEN excluded.owner END, locked_until = NULL, created_at = excluded.created_at,
            fingerprint = excluded.fingerprint, status = excluded.status, resource_id = excluded.resource_id
    """  # noqa: S608
