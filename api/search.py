"""Finding what somebody said."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from api import paging
from api.answers import answers, json_answer
from api.auth import ActingUser
from api.errors import Problem
from api.excerpts import excerpt, words_in
from api.services import Here
from api.threads import require_member
from pipeline.render import MessageView
from storage import messages, search

router = APIRouter(prefix="/v1", tags=["search"])
MAX_QUERY = 200


class HitView(BaseModel):
    """In `snippet` each match stands between U+E000 and U+E001; where people wrote these, it has U+FFFD instead.
    `start_ms` is the moment of the first match that is shown, null for text messages."""

    message: MessageView
    snippet: str
    start_ms: int | None


@router.get("/search", response_model=paging.Page[HitView], responses=answers())
def find(
    here: Here,
    user: ActingUser,
    q: Annotated[str, Query(min_length=1, max_length=MAX_QUERY, description='words, and phrases in "quotes"')],
    thread_id: Annotated[str | None, Query(description="only in this thread")] = None,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> Response:
    """Messages of the caller's threads with all these words, in any form or only begun; newest first."""
    before = paging.decode_id(cursor, "msg")
    terms = [] if "\0" in q else search.terms_of(q)
    if not terms:
        raise Problem("invalid_request", "there is no word to look for in q")
    with here.database.transaction() as connection:
        if thread_id is not None:
            require_member(connection, thread_id, user)
        rows = search.find(connection, user, terms, thread_id=thread_id, limit=limit + 1, before=before)
        hits, last = paging.cut(rows, limit)
        forms = search.inflected(connection, words_in(hits, terms), terms)
        found = messages.by_ids(connection, [hit.message_id for hit in hits], user)
    views = []
    for hit in hits:
        if hit.message_id in found:
            part = excerpt(hit, terms, forms)
            message = here.renderer.message(found[hit.message_id])
            views.append(HitView(message=message, snippet=part.snippet, start_ms=part.start_ms))
    return json_answer(paging.Page[HitView](items=views, next_cursor=last and paging.encode(last.message_id)))
