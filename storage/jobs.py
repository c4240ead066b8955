"""Jobs: rows that workers claim under a lease. Postgres is the truth, the broker only rings.

A claim raises the job's fencing token; whoever holds an older token can no longer finish, so each step happens
once as seen from outside however often it ran. All times are the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, Text, TupleType, and_, bindparam, func, select, text, update

from storage.errors import LeaseLost
from storage.ids import new_id
from storage.tables import NOW, jobs, messages

Queue = Literal["media", "speech"]
QUEUES: tuple[Queue, ...] = ("media", "speech")
MAX_FAILURES = 5
_BACKOFF_CAP_S = 60


class Lane(IntEnum):
    """Live is claimed before batch, always."""

    LIVE = 0
    BATCH = 1


@dataclass(frozen=True)
class Job:
    id: str
    queue: Queue
    lane: int
    message_id: str
    transcript_id: str | None
    # Of the run that made it; None for what a person waits for.
    run_id: str | None
    token: int
    attempts: int
    requeues: int
    alone: bool
    quiet: bool


@dataclass(frozen=True)
class DeadJob:
    """A job given up; its message's voice or transcript, or its run, is to be told."""

    id: str
    queue: Queue
    message_id: str
    transcript_id: str | None
    run_id: str | None
    quiet: bool


def add(
    connection: Connection,
    queue: Queue,
    message_id: str,
    *,
    transcript_id: str | None = None,
    lane: Lane = Lane.LIVE,
    quiet: bool = False,
) -> str:
    """What a `quiet` job comes to is told to nobody: its message is years old."""
    job_id = new_id("job")
    connection.execute(
        jobs.insert().values(
            id=job_id,
            queue=queue,
            lane=int(lane),
            state="queued",
            message_id=message_id,
            transcript_id=transcript_id,
            quiet=quiet,
        )
    )
    return job_id


def claim(
    connection: Connection, queue: Queue, *, lane: Lane | None, limit: int, lease_s: float, worker: str
) -> list[Job]:
    """Up to `limit` jobs of one lane; where both may be taken, live ones while there are any.

    A job whose lease once expired is claimed alone, for it may be what kills its worker.
    """
    head_of_queue = (
        select(jobs.c.id, jobs.c.alone, jobs.c.lane)
        .where(jobs.c.queue == queue, jobs.c.state == "queued", jobs.c.run_after <= func.now())
        .order_by(jobs.c.lane, jobs.c.run_after, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if lane is not None:
        head_of_queue = head_of_queue.where(jobs.c.lane == int(lane))
    head = connection.execute(head_of_queue).all()
    chosen = _together(head)
    if not chosen:
        return []
    rows = connection.execute(
        update(jobs)
        .where(jobs.c.id.in_(chosen))
        .values(
            state="running",
            token=jobs.c.token + 1,
            lease_until=_from_now(lease_s),
            worker=worker,
            started_at=func.now(),
            updated_at=NOW,
        )
        .returning(*_JOB_COLUMNS)
    ).all()
    claimed = {row.id: _job(row) for row in rows}
    return [claimed[job_id] for job_id in chosen]


def heartbeat(connection: Connection, held: Sequence[Job], *, lease_s: float) -> set[str]:
    """Prolongs the leases and returns the ids of the jobs still held."""
    return set(connection.execute(_PROLONG, _named(held) | {"lease_s": lease_s}).scalars())


def confirm(connection: Connection, job: Job) -> None:
    """Raises LeaseLost unless the job is still this worker's; then it stays so until the transaction ends.

    For what a worker writes before it has a result: one that was stopped for long must not undo another's work.
    """
    if not still_held(connection, [job]):
        raise lost(job)


def still_held(connection: Connection, claimed: Sequence[Job]) -> set[str]:
    """Ids of those that `confirm` would let pass."""
    return set(connection.execute(_CONFIRM, _named(claimed)).scalars())


def lost(job: Job) -> LeaseLost:
    return LeaseLost(f"job {job.id} is no longer held with token {job.token}")


def is_anothers(connection: Connection, job: Job) -> bool:
    """Somebody else works on it now."""
    theirs = select(jobs.c.id).where(jobs.c.id == job.id, jobs.c.state == "running", jobs.c.token != job.token)
    return connection.execute(theirs).first() is not None


def finish(connection: Connection, job: Job) -> None:
    """To be called first in the transaction that writes the job's result; raises LeaseLost when it may not.

    The message is locked before the job, in the order that deleting a message takes them.
    """
    _lock_message(connection, job)
    if connection.execute(_FINISH, {"job_id": job.id, "held": job.token}).rowcount != 1:
        raise lost(job)


def requeue(connection: Connection, job: Job, *, reason: str | None, delay_s: float | None = None) -> None:
    """Puts the job back without blame: infrastructure failed, or its worker stops (no delay then)."""
    delay = min(2.0**job.requeues, _BACKOFF_CAP_S) if delay_s is None else delay_s
    _change(
        connection,
        job,
        state="queued",
        lease_until=None,
        run_after=_from_now(delay),
        requeues=jobs.c.requeues + (0 if reason is None else 1),
        reason=reason,
    )


def blame(connection: Connection, job: Job, *, reason: str, final: bool = False) -> bool:
    """Counts a failure that the job itself caused; True when it was the last one and the job is dead now."""
    _lock_message(connection, job)
    dead = final or job.attempts + 1 >= MAX_FAILURES
    _change(
        connection,
        job,
        state="dead" if dead else "queued",
        lease_until=None,
        run_after=_from_now(min(2.0**job.attempts, _BACKOFF_CAP_S)),
        attempts=jobs.c.attempts + 1,
        reason=reason,
    )
    return dead


def reap(connection: Connection, *, limit: int = 500) -> tuple[int, list[DeadJob]]:
    """Takes expired leases back; returns how many were requeued and the jobs that died of it."""
    expired = connection.execute(
        select(jobs.c.id, jobs.c.alone, jobs.c.expiries)
        .where(jobs.c.state == "running", jobs.c.lease_until < func.clock_timestamp())
        .order_by(jobs.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    dead = [row.id for row in expired if row.alone and row.expiries + 1 >= MAX_FAILURES]
    again = [row.id for row in expired if row.id not in set(dead)]
    if again:
        connection.execute(
            update(jobs)
            .where(jobs.c.id.in_(again))
            .values(
                state="queued",
                token=jobs.c.token + 1,
                lease_until=None,
                run_after=NOW,
                expiries=jobs.c.expiries + func.cast(jobs.c.alone, jobs.c.expiries.type),
                alone=True,
                reason="its lease expired: the worker died or hung",
                updated_at=NOW,
            )
        )
    return len(again), _bury(connection, dead)


def _bury(connection: Connection, ids: Sequence[str]) -> list[DeadJob]:
    if not ids:
        return []
    rows = connection.execute(
        update(jobs)
        .where(jobs.c.id.in_(ids))
        .values(
            state="dead",
            token=jobs.c.token + 1,
            lease_until=None,
            expiries=jobs.c.expiries + 1,
            reason=f"its lease expired {MAX_FAILURES} times while it ran alone",
            updated_at=NOW,
        )
        .returning(*_DEAD_JOB)
    )
    return [DeadJob(*row) for row in rows]


def due(connection: Connection) -> list[tuple[Queue, Lane]]:
    """Where there is something to claim now: each of these deserves a ring."""
    every = ((queue, lane) for queue in QUEUES for lane in Lane)
    return [each for each in every if connection.execute(_IS_DUE, {"queue": each[0], "lane": int(each[1])}).first()]


def cancel_for_messages(connection: Connection, message_ids: Sequence[str]) -> None:
    """Takes every open job of the messages away from whoever holds it; the messages must be locked already."""
    connection.execute(
        update(jobs)
        .where(jobs.c.message_id.in_(message_ids), jobs.c.state.in_(("queued", "running", "held", "dead")))
        .values(state="cancelled", token=jobs.c.token + 1, lease_until=None, updated_at=NOW)
    )


def revive(connection: Connection, ids: Sequence[str] | None) -> list[DeadJob]:
    """Gives dead jobs a fresh start: these, or all when None. Returns those that were dead."""
    chosen = jobs.c.state == "dead"
    if ids is not None:
        chosen = and_(chosen, jobs.c.id.in_(ids))
    rows = connection.execute(
        update(jobs)
        .where(chosen)
        .values(state="queued", run_after=NOW, attempts=0, expiries=0, requeues=0, updated_at=NOW)
        .returning(*_DEAD_JOB)
    )
    return [DeadJob(*row) for row in rows]


_DEAD_JOB = (jobs.c.id, jobs.c.queue, jobs.c.message_id, jobs.c.transcript_id, jobs.c.run_id, jobs.c.quiet)
_JOB_COLUMNS = (
    jobs.c.id,
    jobs.c.queue,
    jobs.c.lane,
    jobs.c.message_id,
    jobs.c.transcript_id,
    jobs.c.run_id,
    jobs.c.token,
    jobs.c.attempts,
    jobs.c.requeues,
    jobs.c.alone,
    jobs.c.quiet,
)


# Made once: to put one of these together takes as long as to run it.
_IS_DUE = text(
    "SELECT FROM jobs WHERE queue = :queue AND lane = :lane AND state = 'queued' AND run_after <= now() LIMIT 1"
)
_HELD = and_(jobs.c.id == bindparam("job_id"), jobs.c.token == bindparam("held"), jobs.c.state == "running")
# Several rows are locked in the order of their ids, so that two who do that don't wait for each other.
# For as many as there are Postgres keeps a plan; for arrays, whose length it can't know, it plans at each call.
_HELD_OF_MANY = "SELECT id FROM jobs WHERE (id, token) IN :held AND state = 'running' ORDER BY id"
_MANY = bindparam("held", expanding=True, type_=TupleType(Text, BigInteger))
_CONFIRM = text(f"{_HELD_OF_MANY} FOR SHARE").bindparams(_MANY)
_PROLONG = text(
    f"WITH held AS MATERIALIZED ({_HELD_OF_MANY} FOR NO KEY UPDATE) UPDATE jobs SET"  # noqa: S608 - our own names
    " lease_until = clock_timestamp() + :lease_s * interval '1 second', updated_at = clock_timestamp()"
    " FROM held WHERE jobs.id = held.id RETURNING jobs.id"
).bindparams(_MANY)
_FINISH = update(jobs).where(_HELD).values(state="done", lease_until=None, reason=None, updated_at=NOW)
LIVING_MESSAGE = select(messages.c.id).where(messages.c.id == bindparam("message_id"), messages.c.deleted_at.is_(None))
_LOCK_MESSAGE = LIVING_MESSAGE.with_for_update(key_share=True)


def _named(held: Sequence[Job]) -> dict[str, Any]:
    return {"held": [(job.id, job.token) for job in held]}


def _job(row: Any) -> Job:
    return Job(**row._mapping)


def _together(head: Sequence[Any]) -> list[str]:
    if head and head[0].alone:
        return [head[0].id]
    return [row.id for row in head if not row.alone and row.lane == head[0].lane]


def _lock_message(connection: Connection, job: Job) -> None:
    if connection.execute(_LOCK_MESSAGE, {"message_id": job.message_id}).first() is None:
        raise LeaseLost(f"message {job.message_id} was deleted")


def _change(connection: Connection, job: Job, **values: Any) -> None:
    changed = connection.execute(update(jobs).where(_mine(job)).values(**values, updated_at=NOW))
    if changed.rowcount != 1:
        raise lost(job)


def _mine(job: Job) -> Any:
    return and_(jobs.c.id == job.id, jobs.c.token == job.token, jobs.c.state == "running")


def _from_now(seconds: float) -> Any:
    return func.clock_timestamp() + timedelta(seconds=seconds)
