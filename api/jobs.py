"""For operators: what the workers have to do, and what they gave up."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from api import paging
from api.answers import answers, json_answer
from api.auth import Admin
from api.errors import Problem, not_found
from api.services import Here
from pipeline.render import Moment
from pipeline.revival import revive
from storage import job_records
from storage.ids import is_id

router = APIRouter(prefix="/v1/jobs", tags=["operators"])
State = Literal["queued", "held", "running", "done", "dead", "cancelled"]


class JobView(BaseModel):
    id: str
    queue: Literal["media", "speech"]
    lane: Literal["live", "batch"]
    state: State
    message_id: str
    transcript_id: str | None
    run_id: str | None
    attempts: int
    requeues: int
    expiries: int
    reason: str | None
    worker: str | None
    created_at: Moment
    updated_at: Moment
    run_after: Moment
    lease_until: Moment | None


@router.get("", response_model=paging.Page[JobView], responses=answers())
def list_jobs(
    here: Here,
    _: Admin,
    state: Annotated[State | None, Query()] = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> Response:
    """Newest first."""
    after = paging.decode_id(cursor, "job")
    with here.database.transaction() as connection:
        rows = job_records.page(connection, state=state, limit=limit + 1, after=after)
    found, last = paging.cut(rows, limit)
    views = [_view(row) for row in found]
    return json_answer(paging.Page[JobView](items=views, next_cursor=last and paging.encode(last["id"])))


@router.post("/{job_id}/retry", response_model=JobView, responses=answers("job_not_dead"))
def retry(job_id: str, here: Here, _: Admin) -> Response:
    """Gives a job that was given up a fresh start."""
    with here.database.transaction() as connection:
        if not is_id("job", job_id) or job_records.get(connection, job_id) is None:
            raise not_found("job")
        revived = revive(connection, [job_id])
        if not revived:
            raise Problem("job_not_dead", "this job was not given up")
        row = job_records.get(connection, job_id)
    here.ring(revived[0].queue)
    return json_answer(_view(row or {}))


def _view(row: dict[str, object]) -> JobView:
    return JobView.model_validate({**row, "lane": "batch" if row["lane"] else "live"})
