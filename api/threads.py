"""Threads and who is in them."""

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from api import paging
from api.answers import answers, json_answer, nothing
from api.auth import ActingUser, AnyCaller, is_user_id
from api.errors import Problem, not_found
from api.models import NewParticipant, NewThread
from api.once import Key, Made, once
from api.services import Here, Services
from pipeline.render import ThreadView
from storage import messages, threads
from storage.ids import is_id

router = APIRouter(prefix="/v1/threads", tags=["threads"])


@router.post(
    "",
    status_code=201,
    response_model=ThreadView,
    responses={
        200: {"model": ThreadView, "description": "the thread that has this external_id already"},
        **answers("idempotency_conflict", "idempotency_mismatch", "too_large"),
    },
)
def create_thread(
    body: NewThread, request: Request, here: Here, caller: AnyCaller, user: ActingUser, key: Key = None
) -> Response:
    """The caller is always a participant. `external_id` is for the scope `service`."""
    if body.external_id is not None and not caller.is_service:
        raise Problem("forbidden", "only a token with the scope service may give external_id")
    if len({user, *body.participants}) > threads.MAX_PARTICIPANTS:
        raise Problem(
            "invalid_request", f"a thread has at most {threads.MAX_PARTICIPANTS} participants, caller included"
        )
    with here.database.transaction() as connection:
        made = once(connection, request, user, key, body, lambda: _create(connection, body, user))
        found = threads.get(connection, made.resource_id, user)
        if found is None and body.external_id is not None:
            found = threads.get_unseen(connection, made.resource_id)
        view = _view(here, connection, found, user)
    headers = {"Location": f"/v1/threads/{made.resource_id}", **made.headers}
    return json_answer(view, made.status, headers)


@router.get("", response_model=paging.Page[ThreadView], responses=answers())
def list_threads(here: Here, user: ActingUser, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """The caller's threads, newest activity first."""
    before = paging.decode_moment(cursor, "thr")
    with here.database.transaction() as connection:
        found, last = paging.cut(threads.page(connection, user, limit=limit + 1, before=before), limit)
        newest = messages.by_ids(
            connection, [thread.last_message_id for thread in found if thread.last_message_id], user
        )
    views = [here.renderer.thread(thread, newest.get(thread.last_message_id or "")) for thread in found]
    following = last and paging.encode(last.last_activity_at.isoformat(), last.id)
    return json_answer(paging.Page[ThreadView](items=views, next_cursor=following))


@router.get("/{thread_id}", response_model=ThreadView, responses=answers())
def get_thread(thread_id: str, here: Here, user: ActingUser) -> Response:
    with here.database.transaction() as connection:
        found = threads.get(connection, checked_thread(thread_id), user)
        return json_answer(_view(here, connection, found, user))


@router.post("/{thread_id}/participants", status_code=204, responses=answers("too_large"))
def add_participant(thread_id: str, body: NewParticipant, here: Here, user: ActingUser) -> Response:
    """Adding who is already in changes nothing."""
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user)
        history = here.api.join_history == "all"
        if not threads.add_member(connection, thread_id, body.user_id, history=history):
            raise Problem(
                "invalid_request", f"the thread has {threads.MAX_PARTICIPANTS} participants: nobody else fits"
            )
    return nothing()


@router.delete("/{thread_id}/participants/{user_id:path}", status_code=204, responses=answers())
def remove_participant(thread_id: str, user_id: str, here: Here, caller: AnyCaller, user: ActingUser) -> Response:
    """Everybody may leave; others are removed by who made the thread, or by the host application."""
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user)
        if user_id != user and not caller.is_service and threads.creator(connection, thread_id) != user:
            raise Problem("forbidden", "only who made the thread may remove others")
        if is_user_id(user_id):
            threads.remove_member(connection, thread_id, user_id)
    return nothing()


def checked_thread(thread_id: str) -> str:
    if not is_id("thr", thread_id):
        raise not_found("thread")
    return thread_id


def require_member(connection: Connection, thread_id: str, user: str, *, staying: bool = False) -> None:
    """With `staying` they can't leave, nor be erased, before the transaction ends."""
    if not threads.has_member(connection, checked_thread(thread_id), user, staying=staying):
        raise not_found("thread")


def _create(connection: Connection, body: NewThread, user: str) -> Made:
    thread_id, made = threads.create(
        connection, creator=user, members=body.participants, title=body.title, external_id=body.external_id
    )
    return Made(201 if made else 200, thread_id)


def _view(here: Services, connection: Connection, thread: threads.Thread | None, user: str) -> ThreadView:
    if thread is None:
        raise not_found("thread")
    last = messages.get(connection, thread.last_message_id, user) if thread.last_message_id else None
    return here.renderer.thread(thread, last)
