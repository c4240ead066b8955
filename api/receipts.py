"""Who has read how far, and who has played what."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.answers import answers, json_answer, nothing
from api.auth import ActingUser
from api.errors import not_found
from api.messages import held_voice, seen_voice
from api.models import Played, Read
from api.services import Here
from api.threads import require_member
from pipeline.render import Moment
from storage import events, messages, plays, threads
from storage.ids import is_id

router = APIRouter(prefix="/v1", tags=["receipts"])


class PlayView(BaseModel):
    position_ms: int
    completed: bool
    updated_at: Moment | None


@router.post("/messages/{message_id}/played", status_code=204, responses=answers("too_large"))
def played(message_id: str, body: Played, here: Here, user: ActingUser) -> Response:
    """Where the listener is, on every device; the first complete play tells the sender."""
    with here.database.transaction() as connection:
        message, _ = held_voice(connection, message_id, user, together=True)
        first = plays.mark(
            connection,
            message_id,
            user,
            position_ms=body.position_ms,
            completed=body.completed,
            age_ms=body.age_ms,
        )
        if first and user != message.sender_id:
            events.add(connection, "receipt.played", thread_id=message.thread_id, message_id=message_id, user_id=user)
    return nothing()


@router.get("/messages/{message_id}/played", name="get_played", response_model=PlayView, responses=answers())
def where_played(message_id: str, here: Here, user: ActingUser) -> Response:
    """Where the caller stopped, on whichever device that was; the start when nowhere yet."""
    with here.database.transaction() as connection:
        seen_voice(connection, message_id, user)
        play = plays.get(connection, message_id, user)
    view = PlayView(position_ms=0, completed=False, updated_at=None) if play is None else PlayView(**vars(play))
    return json_answer(view)


@router.post("/threads/{thread_id}/read", status_code=204, responses=answers("too_large"))
def read(thread_id: str, body: Read, here: Here, user: ActingUser) -> Response:
    """Everything up to this message is read; the mark never moves back."""
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user)
        known = is_id("msg", body.message_id)
        seq = messages.seq_of(connection, body.message_id, thread_id, user) if known else None
        if seq is None:
            raise not_found("message in this thread")
        if threads.mark_read(connection, thread_id, user, seq):
            events.add(connection, "receipt.read", thread_id=thread_id, message_id=body.message_id, user_id=user)
    return nothing()
