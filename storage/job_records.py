"""Jobs as an operator sees them, and for how long those that are over are kept."""

import time
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select

from storage.ids import first_id
from storage.tables import jobs

# Long enough to see what became of a job, and to measure by.
KEPT = timedelta(days=7)


def page(connection: Connection, *, state: str | None, limit: int, after: str | None) -> list[dict[str, Any]]:
    """Jobs newest first, as plain mappings for the operator."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(jobs.c.state == state)
    if after is not None:
        query = query.where(jobs.c.id < after)
    return [dict(row._mapping) for row in connection.execute(query)]


def get(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """One job as a plain mapping for the operator."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
    return None if row is None else dict(row._mapping)


def oldest_waits(connection: Connection) -> list[tuple[str, int, float]]:
    """(queue, lane, seconds) for which the oldest job that could be claimed has waited."""
    waited = func.extract("epoch", func.clock_timestamp() - func.min(jobs.c.run_after))
    rows = connection.execute(
        select(jobs.c.queue, jobs.c.lane, waited)
        .where(jobs.c.state == "queued", jobs.c.run_after <= func.now())
        .group_by(jobs.c.queue, jobs.c.lane)
    )
    return [(row[0], row[1], float(row[2])) for row in rows]


def counts(connection: Connection) -> list[tuple[str, str, int, int]]:
    """(queue, state, lane, number) of every job that is not finished."""
    rows = connection.execute(
        select(jobs.c.queue, jobs.c.state, jobs.c.lane, func.count())
        .where(jobs.c.state != "done")
        .group_by(jobs.c.queue, jobs.c.state, jobs.c.lane)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def forget_old(connection: Connection, *, kept: timedelta = KEPT, limit: int = 5_000) -> int:
    """Deletes jobs that are over and were made longer ago; returns how many. Dead ones stay until they are revived."""
    old = (
        select(jobs.c.id)
        .where(jobs.c.id < first_id("job", time.time() - kept.total_seconds()), jobs.c.state.in_(("done", "cancelled")))
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return connection.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount
