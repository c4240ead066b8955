"""Uploads that nobody asks about any more: to be finished, swept and forgotten by the reaper."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, case, delete, func, or_, select, update

from storage.tables import NOW, uploads
from storage.uploads import FIELDS, PUTS_END_AFTER, StoredUpload


def claim_full(connection: Connection, *, untouched_s: float, limit: int = 10) -> list[StoredUpload]:
    """Uploads with all their bytes that nobody finished, for whoever does so now; the same ones come again later."""
    waiting = (
        select(uploads.c.id)
        .where(
            uploads.c.state == "open",
            uploads.c.received == uploads.c.length,
            uploads.c.touched_at < func.clock_timestamp() - timedelta(seconds=untouched_s),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(uploads).where(uploads.c.id.in_(waiting)).values(touched_at=NOW).returning(*FIELDS)
    )
    return [StoredUpload.of(row) for row in rows]


def due_sweeps(connection: Connection, *, limit: int = 100) -> list[str]:
    """Ids of ended and expired uploads whose objects are to be deleted now, locked until the transaction ends."""
    rows = connection.execute(
        select(uploads.c.id)
        .where(
            uploads.c.sweep_at < func.clock_timestamp(),
            or_(uploads.c.state != "open", uploads.c.expires_at < func.clock_timestamp()),
        )
        .order_by(uploads.c.sweep_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows.scalars())


def swept(connection: Connection, upload_ids: Iterable[str]) -> None:
    """Their objects come again while somebody may still be writing."""
    last = uploads.c.touched_at + PUTS_END_AFTER
    again = case((last > func.clock_timestamp(), last), else_=None)
    connection.execute(update(uploads).where(uploads.c.id.in_(list(upload_ids))).values(sweep_at=again))


def forget_expired(connection: Connection, *, limit: int = 1000) -> int:
    """Deletes expired uploads that left no object behind, with all their bytes; returns how many."""
    expired = (
        select(uploads.c.id)
        .where(uploads.c.expires_at < func.clock_timestamp(), uploads.c.sweep_at.is_(None))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(uploads).where(uploads.c.id.in_(expired))).rowcount
