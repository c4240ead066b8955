"""Voice messages: sending one, playing it, drawing it."""

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, TypeAdapter

from api.answers import answers, json_answer
from api.auth import ActingUser, caller, identified
from api.bare import BareRoute, optional
from api.errors import not_found
from api.messages import require_ready, seen_voice
from api.once import REPLAYED, Key, checked
from api.services import Here, Services, services
from api.threads import checked_thread
from ingest.body import Body
from ingest.errors import Refused
from ingest.names import ExternalId, Language
from ingest.original import Upload
from ingest.receive import receive
from ingest.spool import Spool
from ingest.voice import Accepted
from pipeline.render import MessageView
from storage import messages
from storage.idempotency import Claim

router = APIRouter(prefix="/v1", tags=["voice messages"])
bare = APIRouter(prefix="/v1", tags=["voice messages"], route_class=BareRoute)
_LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)
_EXTERNAL_ID: TypeAdapter[str] = TypeAdapter(ExternalId)
WAVEFORM_RATE = 48_000
_BYTES = {"type": "string", "format": "binary"}
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _BYTES},
            "audio/*": {"schema": _BYTES},
            "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _BYTES}, "required": ["file"]}},
        },
    }
}


class WaveformView(BaseModel):
    """https://github.com/bbc/audiowaveform, version 2 of its JSON; `data` is min, max, min, max ..."""

    version: Literal[2] = 2
    channels: Literal[1] = 1
    sample_rate: int
    samples_per_pixel: int
    bits: Literal[16] = 16
    length: int
    data: list[int]


def _asked(
    thread_id: str,
    language: Annotated[Language | None, Query(description="what is spoken, when it is known")] = None,
    external_id: Annotated[ExternalId | None, Query(description="the host application's own id")] = None,
    key: Key = None,
) -> None:
    """What `send_voice` reads, for the document."""


@bare.post(
    "/threads/{thread_id}/voice-messages",
    status_code=201,
    response_model=MessageView,
    dependencies=[Depends(caller), Depends(_asked)],
    responses=answers(
        "no_audio",
        "too_large",
        "unsupported_format",
        "body_timeout",
        "rate_limited",
        "idempotency_conflict",
        "idempotency_mismatch",
    ),
    openapi_extra=_UPLOAD_BODY,
)
async def send_voice(request: Request) -> Response:
    """The recording as the body, or as the field `file` of a form. With 201 it is durable."""
    here, upload = services(request), _upload(request, (await identified(request)).user)
    size = _content_length(request)
    # One that is too large by its own word is refused as such, not for the room that it would take.
    foreseen = size and min(size, here.ingest.max_bytes)
    with Spool(size or 0) as spool:
        async with here.keys.holding(upload.thread_id, upload.claim):
            send = _send_long if here.intake.asks_first(foreseen) else _send_short
            return _answer(here, await send(here, request, upload, foreseen, spool))


@router.get(
    "/messages/{message_id}/audio",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "a fresh playback URL"}, **answers("voice_not_ready")},
)
def play(
    message_id: str,
    here: Here,
    user: ActingUser,
    rendition_format: Annotated[
        Literal["m4a", "opus"], Query(alias="format", description="m4a plays everywhere, opus is smaller")
    ] = "m4a",
) -> Response:
    with here.database.transaction() as connection:
        _, voice = seen_voice(connection, message_id, user)
    require_ready(voice)
    rendition = voice.rendition(rendition_format)
    if rendition is None:
        raise not_found("rendition")
    link = here.playback.link(message_id, rendition)
    return Response(status_code=307, headers={"Location": link.url, "Cache-Control": "no-store"})


@router.get("/messages/{message_id}/waveform", response_model=WaveformView, responses=answers("voice_not_ready"))
def waveform(
    message_id: str,
    here: Here,
    user: ActingUser,
    points: Annotated[int, Query(ge=1, le=1000, description="pixels; never more than were stored")] = 1000,
) -> Response:
    """Peaks of the recording before any gain."""
    with here.database.transaction() as connection:
        _, voice = seen_voice(connection, message_id, user)
        require_ready(voice)
        stored = messages.peaks(connection, message_id) or b""
    return json_answer(_waveform(stored, voice.duration_ms or 0, points))


def _upload(request: Request, user: str) -> Upload:
    path, key = request.scope["path"], checked(request.headers.get("idempotency-key"))
    return Upload(
        checked_thread(request.path_params["thread_id"]),
        user,
        optional(_LANGUAGE, request.query_params, "language", "query."),
        optional(_EXTERNAL_ID, request.query_params, "external_id", "query."),
        None if key is None else Claim(user, path, key),
    )


async def _send_long(here: Services, request: Request, upload: Upload, foreseen: int | None, spool: Spool) -> Accepted:
    finished = await here.executor.run(here.intake.begin, upload, foreseen)
    await _receive(here, request, spool)
    return await here.executor.run(here.intake.accept, upload, spool, finished)


async def _send_short(here: Services, request: Request, upload: Upload, foreseen: int | None, spool: Spool) -> Accepted:
    try:
        await _receive(here, request, spool)
    except Refused:
        # Who may not send here at all is told that, not what is wrong with what they sent.
        await here.executor.run(here.intake.begin, upload, foreseen)
        raise
    return await here.short_intake.accept(upload, spool)


async def _receive(here: Services, request: Request, spool: Spool) -> None:
    body = Body(request.receive, size=_content_length(request), idle_s=here.ingest.idle_s)
    kind = request.headers.get("content-type", "")
    await receive(body, spool, content_type=kind, max_bytes=here.ingest.max_bytes)


def _answer(here: Services, accepted: Accepted) -> Response:
    if accepted.message is None:
        raise not_found("message")
    if not accepted.replayed:
        here.ring("media")
    headers = {"Location": f"/v1/messages/{accepted.message.id}", **(REPLAYED if accepted.replayed else {})}
    return json_answer(here.renderer.message(accepted.message), accepted.status, headers)


def _content_length(request: Request) -> int | None:
    value = request.headers.get("content-length", "")
    return int(value) if value.isdecimal() and len(value) < 20 else None


def _waveform(stored: bytes, duration_ms: int, points: int) -> WaveformView:
    pairs = np.frombuffer(stored, dtype="<i2").reshape(-1, 2)
    length = min(points, len(pairs))
    starts = np.arange(length) * len(pairs) // max(length, 1)
    data = np.column_stack([np.minimum.reduceat(pairs[:, 0], starts), np.maximum.reduceat(pairs[:, 1], starts)])
    samples = duration_ms * WAVEFORM_RATE // 1000
    return WaveformView(
        sample_rate=WAVEFORM_RATE,
        samples_per_pixel=max(1, round(samples / max(length, 1))),
        length=length,
        data=data.ravel().tolist(),
    )
