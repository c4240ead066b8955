"""Runs: stored messages to be transcribed or transcoded again, walked by key and queued little by little.

A run's row holds where it is; `storage.run_walk` moves it on, `storage.run_items` knows what became of each message.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from storage import events, run_jobs
from storage.ids import new_id
from storage.jobs import Queue
from storage.tables import NOW, runs, voices

Kind = Literal["transcribe", "transcode"]
Policy = Literal["if-not-worse", "always"]
State = Literal["running", "paused", "completed", "cancelled", "reverting", "reverted"]
Outcome = Literal["changed", "unchanged", "refused", "left_alone", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
QUEUE_OF: Mapping[Kind, Queue] = {"transcribe": "speech", "transcode": "media"}
# Progress is an event this often, and at every change of state.
_TOLD_EVERY_S = 5


class WrongState(Exception):
    """The run is not in a state in which this can be done; the message says in which it is."""


@dataclass(frozen=True)
class Filter:
    """All that is set must hold. `model` to `state` are of the transcript that is active now; times are of the
    message; `ids` are the only messages looked at."""

    model: str | None = None
    model_version: str | None = None
    language: str | None = None
    confidence_below: float | None = None
    state: Literal["completed", "no_speech", "failed"] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    thread_id: str | None = None
    sender_id: str | None = None
    ids: tuple[str, ...] | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON; the ids have a table of their own, here stands how many there are."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        for name in ("created_after", "created_before"):
            if name in found:
                found[name] = found[name].isoformat()
        if self.ids is not None:
            found["ids"] = len(set(self.ids))
        return found


@dataclass(frozen=True)
class Plan:
    """What a run is to do. `model` None: whichever the workers run; `language` None: found out, or as a person said."""

    kind: Kind
    filter: Filter
    model: str | None
    language: str | None
    policy: Policy
    rate_limit: float | None
    at_most: int | None

    def fingerprint(self) -> str:
        """The same for plans that would do the same; how fast does not matter."""
        ids = None if self.filter.ids is None else sorted(set(self.filter.ids))
        what = [self.kind, self.filter.stored(), ids, self.model, self.language, self.policy, self.at_most]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Survey:
    """How many messages a plan is about and how long they are. Not `exact` where counting was cut short."""

    messages: int
    audio_ms: int
    exact: bool


@dataclass(frozen=True)
class Run:
    """`filter` as it is stored; `rate` in messages a second, lately; `total` is a guess until it is `total_exact`."""

    id: str
    kind: Kind
    filter: Mapping[str, Any]
    model: str | None
    language: str | None
    policy: Policy
    rate_limit: float | None
    at_most: int | None
    state: State
    until: str
    cursor: str | None
    walked: bool
    total: int
    total_exact: bool
    audio_ms: int
    queued: int
    rate: float
    reverted: int
    created_by: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Tally:
    outcome: Outcome
    reason: str
    messages: int
    words: int


@dataclass(frozen=True)
class Progress:
    """`open` messages are queued or worked on; `gone` ones were deleted while they were queued."""

    open: int
    gone: int
    tallies: tuple[Tally, ...]

    @property
    def done(self) -> int:
        return self.gone + sum(tally.messages for tally in self.tallies)

    def count(self, outcome: Outcome) -> int:
        return sum(tally.messages for tally in self.tallies if tally.outcome == outcome)


def create(connection: Connection, plan: Plan, survey: Survey, created_by: str) -> tuple[str, bool]:
    """The run's id, and whether it is new: while a run of the same plan is active there is no second one."""
    run_id = new_id("rep")
    row = {
        "id": run_id,
        "kind": plan.kind,
        "fingerprint": plan.fingerprint(),
        "filter": plan.filter.stored(),
        "model": plan.model,
        "language": plan.language,
        "policy": plan.policy,
        "rate_limit": plan.rate_limit,
        "at_most": plan.at_most,
        "state": "running",
        "until": last_message(connection),
        "total": survey.messages,
        "total_exact": survey.exact,
        "audio_ms": survey.audio_ms,
        "created_by": created_by,
    }
    statement = insert(runs).values(row).on_conflict_do_nothing(index_elements=["fingerprint"], index_where=_ACTIVE)
    made = connection.execute(statement.returning(runs.c.id)).first()
    if made is None:
        active = select(runs.c.id).where(runs.c.fingerprint == row["fingerprint"], _ACTIVE)
        other = connection.execute(active).scalar()
        # It may have ended just now.
        return (other, False) if other else create(connection, plan, survey, created_by)
    if plan.filter.ids is not None:
        put_ids(connection, run_id, plan.filter.ids)
    events.add_progress(connection, run_id)
    return run_id, True


def put_ids(connection: Connection, run_id: str, ids: Sequence[str]) -> None:
    connection.execute(
        text("INSERT INTO run_ids SELECT :run_id, id FROM unnest(CAST(:ids AS text[])) AS id ON CONFLICT DO NOTHING"),
        {"run_id": run_id, "ids": list(ids)},
    )


def last_message(connection: Connection) -> str:
    """What comes later is transcribed as it comes, and needs no run."""
    return connection.execute(select(func.max(voices.c.message_id))).scalar() or ""


def get(connection: Connection, run_id: str) -> Run | None:
    row = connection.execute(select(*_RUN).where(runs.c.id == run_id)).first()
    return None if row is None else Run(*row)


def page(connection: Connection, *, limit: int, after: str | None) -> list[Run]:
    """Newest first."""
    query = select(*_RUN).order_by(runs.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(runs.c.id < after)
    return [Run(*row) for row in connection.execute(query)]


def moving(connection: Connection) -> list[str]:
    """Ids of the runs that have to be looked after, the oldest first."""
    return list(connection.execute(select(runs.c.id).where(_MOVING).order_by(runs.c.id)).scalars())


def take(connection: Connection, run_id: str) -> Run | None:
    """The run, locked until the transaction ends; None when another process has it or it is over."""
    query = select(*_RUN).where(runs.c.id == run_id, _MOVING).with_for_update(skip_locked=True)
    row = connection.execute(query).first()
    return None if row is None else Run(*row)


def share(connection: Connection, kind: Kind) -> float:
    """What each of the runs that have the same workers would do, in messages a second, if all did the same."""
    working = (runs.c.kind == kind, _MOVING, runs.c.state == "running")
    return float(connection.execute(select(func.coalesce(func.avg(runs.c.rate), 0)).where(*working)).scalar_one())


def progress(connection: Connection, run_id: str) -> Progress:
    """One statement, so that all numbers are of one moment."""
    rows = connection.execute(_PROGRESS, {"run_id": run_id}).all()
    tallies = tuple(Tally(*row[1:]) for row in rows if row.number == 0 and row.messages)
    queued, still_open = (next(row.messages for row in rows if row.number == number) for number in (1, 2))
    return Progress(still_open, queued - still_open - sum(tally.messages for tally in tallies), tallies)


def pause(connection: Connection, run_id: str) -> None:
    """Raises WrongState. What is being worked on comes to its end."""
    if _enter(connection, run_id, "paused", begun_from=("running",)):
        run_jobs.hold(connection, run_id)


def resume(connection: Connection, run_id: str) -> None:
    """Raises WrongState."""
    if _enter(connection, run_id, "running", begun_from=("paused",), credit=0, credited_at=NOW, measured_at=NOW):
        run_jobs.release(connection, run_id)


def cancel(connection: Connection, run_id: str) -> None:
    """What is done stays, nothing more is done. Raises WrongState."""
    if _enter(connection, run_id, "cancelled", begun_from=("running", "paused"), finished_at=NOW, rate=0):
        _drop_open(connection, run_id)


def revert(connection: Connection, run_id: str) -> None:
    """Begins to make active again what was before; a run that is still going on ends. Raises WrongState."""
    begun_from: tuple[State, ...] = ("running", "paused", "completed", "cancelled")
    if _enter(connection, run_id, "reverting", begun_from=begun_from, also=("reverted",), cursor=None, rate=0):
        _drop_open(connection, run_id)


def complete(connection: Connection, run: Run, state: Literal["completed", "reverted"]) -> None:
    """For whoever has taken the run; its rate is now that of all of it."""
    ended: dict[str, Any] = {"state": state, "finished_at": NOW, "total_exact": True}
    if state == "completed":
        ended["rate"] = runs.c.queued / func.extract("epoch", NOW - runs.c.created_at)
    connection.execute(update(runs).where(runs.c.id == run.id).values(**ended))
    events.add_progress(connection, run.id)


def measure(connection: Connection, run: Run, done: int) -> None:
    """Writes down how fast the run is, smoothed, and tells of its progress from time to time."""
    connection.execute(_MEASURE, {"run_id": run.id, "done": done})
    told = connection.execute(_TELL, {"run_id": run.id, "every_s": _TOLD_EVERY_S}).first()
    if told is not None:
        events.add_progress(connection, run.id)


def _enter(
    connection: Connection,
    run_id: str,
    state: State,
    *,
    begun_from: Sequence[State],
    also: Sequence[State] = (),
    **values: Any,
) -> bool:
    """False when it is there already, or in one of `also`."""
    now = connection.execute(select(runs.c.state).where(runs.c.id == run_id).with_for_update()).scalar_one()
    if now == state or now in also:
        return False
    if now not in begun_from:
        raise WrongState(f"the run is {now}")
    connection.execute(update(runs).where(runs.c.id == run_id).values(state=state, **values))
    events.add_progress(connection, run_id)
    return True


def _drop_open(connection: Connection, run_id: str) -> None:
    """What was queued and is not done never was."""
    dropped = run_jobs.cancel(connection, run_id)
    connection.execute(_FORGET_ITEMS, {"run_id": run_id, "ids": dropped})
    connection.execute(update(runs).where(runs.c.id == run_id).values(queued=runs.c.queued - len(dropped)))


_RUN = tuple(runs.c[field.name] for field in fields(Run))
# Written out, for a planner that can't see the states does not find their indexes.
_ACTIVE = text("state IN ('running', 'paused')")
_MOVING = text("state IN ('running', 'paused', 'reverting')")
_PROGRESS = text(
    "SELECT 0 AS number, outcome, reason, CAST(sum(messages) AS bigint) AS messages,"
    " CAST(sum(words) AS bigint) AS words FROM run_tallies WHERE run_id = :run_id GROUP BY outcome, reason"
    " UNION ALL SELECT 1, '', '', queued, 0 FROM runs WHERE id = :run_id"
    " UNION ALL SELECT 2, '', '', count(*), 0 FROM jobs"
    " WHERE run_id = :run_id AND state IN ('queued', 'running', 'held')"
)
_MEASURE = text(
    "UPDATE runs SET measured_done = :done, measured_at = clock_timestamp(), rate = rate * weight"
    " + (1 - weight) * (:done - measured_done) / seconds FROM"
    " (SELECT id, extract(epoch FROM clock_timestamp() - measured_at) AS seconds,"
    " CASE WHEN measured_done = 0 THEN 0 ELSE 0.7 END AS weight FROM runs WHERE id = :run_id) AS since"
    " WHERE runs.id = since.id AND since.seconds >= 1"
)
_TELL = text(
    "UPDATE runs SET told_at = clock_timestamp() WHERE id = :run_id"
    " AND told_at < clock_timestamp() - :every_s * interval '1 second' RETURNING id"
)
_FORGET_ITEMS = text(
    "DELETE FROM run_items WHERE run_id = :run_id AND outcome IS NULL AND message_id = ANY(CAST(:ids AS text[]))"
)
