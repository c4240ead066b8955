"""For operators: transcribing or transcoding stored messages again, however many there are."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from api import paging
from api.answers import answers, json_answer
from api.auth import Admin, Caller
from api.errors import Problem, not_found
from api.models import ModelName
from api.once import Key, Made, once
from api.services import Here, Services
from ingest.names import Language, UserId
from pipeline import reprocess_request, reprocess_view
from pipeline.reprocess_view import RunView
from storage import run_items, runs
from storage.ids import is_id
from storage.runs import Filter, Plan, WrongState
from transcribe import ModelError

router = APIRouter(prefix="/v1/reprocess", tags=["operators"])
MAX_IDS = 100_000
_TROUBLE = Literal["refused", "left_alone", "failed"]


def _message_id(text: str) -> str:
    if not is_id("msg", text):
        raise ValueError("must be the id of a message")
    return text


def _thread_id(text: str) -> str:
    if not is_id("thr", text):
        raise ValueError("must be the id of a thread")
    return text


class FilterBody(BaseModel):
    """All that is given must hold; with nothing given, every message. `model`, `model_version`, `language`,
    `confidence_below` and `state` are of the transcript that is active now."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName | None = None
    model_version: ModelName | None = None
    language: Language | None = None
    confidence_below: float | None = Field(None, gt=0, le=1)
    state: Literal["completed", "no_speech", "failed"] | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    thread_id: Annotated[str, AfterValidator(_thread_id)] | None = None
    sender_id: UserId | None = None
    ids: (
        Annotated[list[Annotated[str, AfterValidator(_message_id)]], Field(min_length=1, max_length=MAX_IDS)] | None
    ) = None


class NewRun(BaseModel):
    """`model`, `language` and `policy` are for `transcribe`. Without `model`, the one that the workers run."""

    model_config = ConfigDict(extra="forbid")

    kind: runs.Kind
    filter: FilterBody = FilterBody()
    model: ModelName | None = None
    language: Language | None = None
    policy: runs.Policy | None = None
    rate_per_s: float | None = Field(None, gt=0, le=100_000)
    limit: int | None = Field(None, ge=1, le=2**53)
    dry_run: bool = False


class EstimateView(BaseModel):
    """A run that is none: what it would do. `eta_s` from the speed that `workers` had lately, measured on
    `measured_messages`; null where nothing was done lately."""

    id: None = None
    state: Literal["dry_run"] = "dry_run"
    kind: runs.Kind
    total: int
    total_estimated: bool
    audio_hours: float
    done: Literal[0] = 0
    changed: Literal[0] = 0
    failed: Literal[0] = 0
    rate_per_s: float | None
    eta_s: float | None
    audio_hours_per_hour: float | None
    workers: int | None
    measured_messages: int


class ItemView(BaseModel):
    message_id: str
    outcome: runs.Outcome
    reason: str
    words: int
    previous_id: str | None
    transcript_id: str | None


@router.post(
    "",
    status_code=201,
    response_model=RunView | EstimateView,
    responses={
        200: {"description": "a dry run's estimate, or the run of the same plan that is active already"},
        **answers("idempotency_conflict", "idempotency_mismatch", "too_large"),
    },
)
def create_run(body: NewRun, request: Request, here: Here, caller: Admin, key: Key = None) -> Response:
    """Begins a run, in the batch lane: live messages go first. Its results are versions of transcripts."""
    plan = _plan(body)
    if body.dry_run:
        return json_answer(_estimate(here, plan))
    run_id, headers, status = _begin(here, request, caller, key, body, plan)
    with here.database.transaction() as connection:
        view = _read(connection, run_id)
    return json_answer(view, status, {"Location": f"/v1/reprocess/{run_id}", **headers})


@router.get("", response_model=paging.Page[RunView], responses=answers())
def list_runs(here: Here, _: Admin, limit: paging.Limit = 20, cursor: paging.Cursor = None) -> Response:
    """Newest first."""
    after = paging.decode_id(cursor, "rep")
    with here.database.transaction() as connection:
        rows = runs.page(connection, limit=limit + 1, after=after)
        found, last = paging.cut(rows, limit)
        views = [reprocess_view.view(connection, run) for run in found]
    return json_answer(paging.Page[RunView](items=views, next_cursor=last and paging.encode(last.id)))


@router.get("/{run_id}", response_model=RunView, responses=answers())
def get_run(run_id: str, here: Here, _: Admin) -> Response:
    with here.database.transaction() as connection:
        return json_answer(_read(connection, run_id))


@router.get("/{run_id}/items", response_model=paging.Page[ItemView], responses=answers())
def list_items(
    run_id: str,
    here: Here,
    _: Admin,
    outcome: Annotated[_TROUBLE, Query(description="what is worth a look")],
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> Response:
    """The messages that a run did not change for a reason, by id."""
    after = paging.decode_id(cursor, "msg")
    with here.database.transaction() as connection:
        _read(connection, run_id)
        rows = run_items.page(connection, run_id, outcome, limit=limit + 1, after=after)
    found, last = paging.cut(rows, limit)
    views = [ItemView(**vars(item)) for item in found]
    return json_answer(paging.Page[ItemView](items=views, next_cursor=last and paging.encode(last.message_id)))


@router.post("/{run_id}/pause", response_model=RunView, responses=answers("run_is_over"))
def pause(run_id: str, here: Here, _: Admin) -> Response:
    """Nothing more is begun; what is being worked on comes to its end."""
    return _change(here, run_id, runs.pause)


@router.post("/{run_id}/resume", response_model=RunView, responses=answers("run_is_over"))
def resume(run_id: str, here: Here, _: Admin) -> Response:
    return _change(here, run_id, runs.resume)


@router.post("/{run_id}/cancel", response_model=RunView, responses=answers("run_is_over"))
def cancel(run_id: str, here: Here, _: Admin) -> Response:
    """What is done stays; nothing more is done."""
    return _change(here, run_id, runs.cancel)


@router.post("/{run_id}/revert", status_code=202, response_model=RunView, responses=answers("not_revertible"))
def revert(run_id: str, here: Here, _: Admin) -> Response:
    """Makes the versions active again that were so before the run, except where somebody has changed them since; a
    run that still goes on ends."""
    with here.database.transaction() as connection:
        if _read(connection, run_id).kind == "transcode":
            raise Problem("not_revertible", "renditions that were made again can't be brought back, only made again")
    return _change(here, run_id, runs.revert, status=202)


def _plan(body: NewRun) -> Plan:
    if body.kind == "transcode":
        for name in ("model", "language", "policy"):
            if getattr(body, name) is not None:
                raise Problem("invalid_request", f"body.{name}: only for transcribe")
    require_model(body.model)
    given = body.filter
    if _no_time(given.created_after, given.created_before):
        raise Problem("invalid_request", "body.filter: created_after must be before created_before")
    ids = None if given.ids is None else tuple(given.ids)
    return Plan(
        kind=body.kind,
        filter=Filter(**{**given.model_dump(exclude={"ids"}), "ids": ids}),
        model=body.model,
        language=body.language,
        policy=body.policy or "if-not-worse",
        rate_limit=body.rate_per_s,
        at_most=body.limit,
    )


def require_model(name: str | None) -> None:
    """Raises Problem for one that can't be."""
    if name is not None:
        try:
            reprocess_request.check_model(name)
        except ModelError as error:
            raise Problem("invalid_request", f"body.model: {error.message}") from error


def is_model_name(name: str) -> bool:
    """Rather than a folder or a hub id: which of those there are is not for everybody to try."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None


def _no_time(after: datetime | None, before: datetime | None) -> bool:
    return after is not None and before is not None and after >= before


def _estimate(here: Services, plan: Plan) -> EstimateView:
    found = reprocess_request.survey(here.database, plan)
    measured = reprocess_request.speed(here.database, plan)
    eta_s = reprocess_request.estimate_s(plan, found, measured)
    return EstimateView(
        kind=plan.kind,
        total=found.messages,
        total_estimated=not found.exact,
        audio_hours=round(found.audio_ms / 3_600_000, 3),
        rate_per_s=round(found.messages / eta_s, 2) if eta_s else None,
        eta_s=None if eta_s is None else round(eta_s, 1),
        audio_hours_per_hour=measured and round(measured.audio_ms_per_s / 1000, 2),
        workers=measured and measured.workers,
        measured_messages=measured.messages if measured else 0,
    )


def _begin(
    here: Services, request: Request, caller: Caller, key: str | None, body: NewRun, plan: Plan
) -> tuple[str, dict[str, str], int]:
    """Counted before the transaction begins: counting may take seconds."""
    found = reprocess_request.survey(here.database, plan, reprocess_request.BRIEFLY_S)
    with here.database.transaction() as connection:

        def make() -> Made:
            run_id, is_new = runs.create(connection, plan, found, caller.subject)
            return Made(201 if is_new else 200, run_id)

        made = once(connection, request, caller.subject, key, body, make)
    return made.resource_id, made.headers, made.status


def _read(connection: Connection, run_id: str) -> RunView:
    view = reprocess_view.read(connection, run_id) if is_id("rep", run_id) else None
    if view is None:
        raise not_found("run")
    return view


def _change(here: Services, run_id: str, change: Callable[[Connection, str], Any], status: int = 200) -> Response:
    try:
        with here.database.transaction() as connection:
            _read(connection, run_id)
            change(connection, run_id)
            view = _read(connection, run_id)
    except WrongState as error:
        raise Problem("run_is_over", str(error)) from error
    return json_answer(view, status)
