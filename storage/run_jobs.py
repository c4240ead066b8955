"""The jobs of a run: batch jobs that are made, held and cancelled together. Workers claim them like any other."""

from collections.abc import Mapping

from sqlalchemy import Boolean, ColumnElement, Connection, func, literal_column, select, text, update

from storage.ids import new_id
from storage.jobs import Lane, Queue
from storage.tables import NOW, jobs


def add(connection: Connection, queue: Queue, run_id: str, delays_s: Mapping[str, float]) -> None:
    """One for each of these messages, which may be claimed after its delay."""
    values = {
        "ids": [new_id("job") for _ in delays_s],
        "messages": list(delays_s),
        "delays": list(delays_s.values()),
        "queue": queue,
        "lane": int(Lane.BATCH),
        "run_id": run_id,
    }
    connection.execute(_ADD, values)


def outstanding(connection: Connection, run_id: str) -> int:
    """How many are neither finished nor given up."""
    return int(connection.execute(select(func.count()).where(*_open(run_id))).scalar_one())


def hold(connection: Connection, run_id: str) -> None:
    """Nobody claims them until they are released; what is being worked on goes on."""
    waiting = update(jobs).where(*_open(run_id), jobs.c.state == "queued")
    connection.execute(waiting.values(state="held", updated_at=NOW))


def release(connection: Connection, run_id: str) -> None:
    held = update(jobs).where(*_open(run_id), jobs.c.state == "held")
    connection.execute(held.values(state="queued", updated_at=NOW))


def cancel(connection: Connection, run_id: str) -> list[str]:
    """Takes them away, also from who works on them; returns the ids of their messages."""
    taken = {"state": "cancelled", "token": jobs.c.token + 1, "lease_until": None, "updated_at": NOW}
    rows = connection.execute(update(jobs).where(*_open(run_id)).values(taken).returning(jobs.c.message_id))
    return list(rows.scalars())


def trouble(connection: Connection, run_id: str) -> str | None:
    """Why one of them waits for another try, if one does."""
    waiting = (*_open(run_id), jobs.c.state == "queued", jobs.c.reason.is_not(None))
    return connection.execute(select(jobs.c.reason).where(*waiting).limit(1)).scalar()


def _open(run_id: str) -> tuple[ColumnElement[bool], ...]:
    # Written out: where the planner can't see the states it does not find their index.
    return jobs.c.run_id == run_id, literal_column("jobs.state IN ('queued', 'running', 'held')", Boolean)


_ADD = text(
    "INSERT INTO jobs (id, queue, lane, state, message_id, run_id, run_after)"
    " SELECT id, :queue, :lane, 'queued', message_id, :run_id, clock_timestamp() + delay * interval '1 second'"
    " FROM unnest(CAST(:ids AS text[]), CAST(:messages AS text[]), CAST(:delays AS float8[]))"
    " AS made(id, message_id, delay)"
)
