"""What a run looks like from outside; the same in answers and events."""

from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection

from pipeline.render import Moment
from storage import run_jobs, runs
from storage.runs import Kind, Outcome, Policy, Progress, Run, State, Tally


class ReasonView(BaseModel):
    """`words` is how many words are different in these messages together."""

    outcome: Outcome
    reason: str
    messages: int
    words: int


class RunView(BaseModel):
    """Of `total` messages `done` are `changed`, `unchanged`, `refused`, `left_alone`, `failed` or `deleted` by now.
    `total` is a guess while `total_estimated`. `rate_per_s` is how fast it goes, `eta_s` how long it will take on; null
    where that is not known. `problem` is why some of it has to wait."""

    id: str
    kind: Kind
    state: State
    filter: dict[str, Any]
    model: str | None
    language: str | None
    policy: Policy
    rate_limit_per_s: float | None
    limit: int | None
    total: int
    total_estimated: bool
    audio_hours: float
    done: int
    changed: int
    unchanged: int
    refused: int
    left_alone: int
    failed: int
    deleted: int
    reverted: int
    words_changed: int
    rate_per_s: float
    eta_s: float | None
    problem: str | None
    reasons: list[ReasonView]
    created_by: str
    created_at: Moment
    finished_at: Moment | None


def read(connection: Connection, run_id: str) -> RunView | None:
    run = runs.get(connection, run_id)
    return None if run is None else view(connection, run)


def view(connection: Connection, run: Run) -> RunView:
    progress = runs.progress(connection, run.id)
    is_moving = run.state in ("running", "reverting")
    total = max(run.total, progress.done)
    return RunView(
        id=run.id,
        kind=run.kind,
        state=run.state,
        filter=dict(run.filter),
        model=run.model,
        language=run.language,
        policy=run.policy,
        rate_limit_per_s=run.rate_limit,
        limit=run.at_most,
        total=total,
        total_estimated=not run.total_exact,
        audio_hours=round(run.audio_ms / 3_600_000, 3),
        done=progress.done,
        **{outcome: progress.count(outcome) for outcome in runs.OUTCOMES},
        deleted=progress.gone,
        reverted=run.reverted,
        words_changed=sum(tally.words for tally in progress.tallies if tally.outcome == "changed"),
        rate_per_s=round(run.rate, 2),
        eta_s=_eta_s(run, progress, total),
        problem=run_jobs.trouble(connection, run.id) if is_moving else None,
        reasons=[_reason(tally) for tally in progress.tallies if tally.reason],
        created_by=run.created_by,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _eta_s(run: Run, progress: Progress, total: int) -> float | None:
    if run.state in ("completed", "cancelled", "reverted"):
        return 0.0
    if run.state != "running" or run.rate <= 0:
        return None
    return round((total - progress.done) / run.rate, 1)


def _reason(tally: Tally) -> ReasonView:
    return ReasonView(outcome=tally.outcome, reason=tally.reason, messages=tally.messages, words=tally.words)
