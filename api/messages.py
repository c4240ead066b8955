"""Messages, text and voice in one order."""

import logging

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.background import BackgroundTask

from api import paging
from api.answers import answers, json_answer, nothing
from api.auth import ActingUser, AnyCaller, Caller
from api.errors import Problem, not_found
from api.models import NewText
from api.once import Key, Made, once
from api.services import Here, Services
from api.threads import checked_thread, require_member
from pipeline.render import MessageView
from storage import messages, threads
from storage.errors import StorageFull, StorageUnavailable
from storage.ids import is_id
from storage.keys import message_prefix

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", tags=["messages"])


@router.get("/threads/{thread_id}/messages", response_model=paging.Page[MessageView], responses=answers())
def list_messages(
    thread_id: str, here: Here, user: ActingUser, limit: paging.Limit = 50, cursor: paging.Cursor = None
) -> Response:
    """Newest first."""
    before = paging.decode_seq(cursor)
    with here.database.reading() as connection:
        rows = messages.page(connection, checked_thread(thread_id), user, limit=limit + 1, before_seq=before)
        if not rows:
            # Whoever sees a message is a member.
            require_member(connection, thread_id, user)
    found, last = paging.cut(rows, limit)
    views = [here.renderer.message(message) for message in found]
    return json_answer(paging.Page[MessageView](items=views, next_cursor=last and paging.encode(last.seq)))


@router.post(
    "/threads/{thread_id}/messages",
    status_code=201,
    response_model=MessageView,
    responses=answers("idempotency_conflict", "idempotency_mismatch", "too_large"),
)
def send_text(
    thread_id: str, body: NewText, request: Request, here: Here, user: ActingUser, key: Key = None
) -> Response:
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user, staying=True)
        made = once(
            connection,
            request,
            user,
            key,
            body,
            lambda: Made(201, messages.add_text(connection, thread_id, user, body.text, body.external_id)),
        )
        message = seen(connection, made.resource_id, user)
    headers = {"Location": f"/v1/messages/{message.id}", **made.headers}
    return json_answer(here.renderer.message(message), made.status, headers)


@router.get("/messages/{message_id}", response_model=MessageView, responses=answers())
def get_message(message_id: str, here: Here, user: ActingUser) -> Response:
    with here.database.reading() as connection:
        message = seen(connection, message_id, user)
    return json_answer(here.renderer.message(message))


@router.delete("/messages/{message_id}", status_code=204, responses=answers())
def delete_message(message_id: str, here: Here, caller: AnyCaller) -> Response:
    """By its sender, the host application or an operator. Its objects go at once; repeated, it is 204 again."""
    with here.database.transaction() as connection:
        _require_right_to_delete(connection, message_id, caller)
        removed = messages.remove(connection, message_id)
    answer = nothing()
    if removed:
        answer.background = BackgroundTask(_erase_objects, here, message_id)
    return answer


def seen(connection: Connection, message_id: str, user: str) -> messages.Message:
    """The message, if it exists for this user."""
    message = messages.get(connection, message_id, user) if is_id("msg", message_id) else None
    if message is None:
        raise not_found("message")
    return message


def seen_voice(connection: Connection, message_id: str, user: str) -> tuple[messages.Message, messages.Voice]:
    message = seen(connection, message_id, user)
    if message.voice is None:
        raise not_found("voice message")
    return message, message.voice


def held_voice(
    connection: Connection, message_id: str, user: str, *, together: bool = False
) -> tuple[messages.Message, messages.Voice]:
    """For who writes of it: neither is it deleted nor is the user erased before the transaction ends."""
    message, _ = seen_voice(connection, message_id, user)
    require_member(connection, message.thread_id, user, staying=True)
    messages.hold(connection, message_id, together=together)
    return seen_voice(connection, message_id, user)


def require_ready(voice: messages.Voice) -> None:
    if voice.state != "ready":
        why = f": {voice.error_message}" if voice.error_message else ""
        raise Problem("voice_not_ready", f"the voice message is {voice.state}{why}")


def _require_right_to_delete(connection: Connection, message_id: str, caller: Caller) -> None:
    found = messages.owner(connection, message_id) if is_id("msg", message_id) else None
    if found is None:
        raise not_found("message")
    thread_id, sender, deleted = found
    if caller.is_service or caller.is_admin or caller.subject == sender:
        return
    if deleted or not threads.has_member(connection, thread_id, caller.subject):
        raise not_found("message")
    raise Problem("forbidden", "only its sender may delete a message")


def _erase_objects(here: Services, message_id: str) -> None:
    """The first try; the reaper repeats it until no worker can still be writing."""
    try:
        here.store.delete_prefix(message_prefix(here.storage.s3_prefix, message_id))
    except (StorageUnavailable, StorageFull) as error:
        log.warning("the objects of a deleted message are left to the reaper: %s", error)
