"""For the host application and operators: a person who is to be forgotten."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.answers import answers, json_answer
from api.auth import AnyCaller, Caller, is_user_id
from api.errors import Problem, not_found
from api.services import Here
from pipeline.render import Moment
from storage import people

router = APIRouter(prefix="/v1/users", tags=["operators"])


class ErasureView(BaseModel):
    """`removed` counts what is gone so far; with `done`, so are all objects."""

    user_id: str
    state: Literal["running", "done"]
    removed: dict[str, int]
    requested_at: Moment
    finished_at: Moment | None


@router.delete("/{user_id:path}", status_code=202, response_model=ErasureView, responses=answers())
def erase_user(user_id: str, here: Here, caller: AnyCaller) -> Response:
    """Removes the person's voice, text, transcripts, receipts and memberships; `GET …/erasure` reports."""
    _require_right(caller, user_id)
    with here.database.transaction() as connection:
        report = people.request(connection, user_id)
    return json_answer(_view(report), 202)


@router.get("/{user_id:path}/erasure", response_model=ErasureView, responses=answers())
def get_erasure(user_id: str, here: Here, caller: AnyCaller) -> Response:
    _require_right(caller, user_id)
    with here.database.transaction() as connection:
        report = people.report(connection, user_id)
    if report is None:
        raise not_found("erasure")
    return json_answer(_view(report))


def _require_right(caller: Caller, user_id: str) -> None:
    if not (caller.is_service or caller.is_admin):
        raise Problem("forbidden", "this needs a token with the scope service or admin")
    if not is_user_id(user_id):
        raise not_found("user")


def _view(report: people.Report) -> ErasureView:
    return ErasureView(**vars(report))
