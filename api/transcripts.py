"""What a voice message says: text and captions, versions, the sender's correction."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api import paging
from api.answers import answers, json_answer
from api.auth import ActingUser, AnyCaller
from api.errors import Problem, not_found
from api.messages import held_voice, require_ready, seen, seen_voice
from api.models import Correction, NewTranscript
from api.once import Key, Made, once
from api.reprocess import is_model_name, require_model
from api.services import Here, Services
from pipeline.render import MessageView, TranscriptView, transcript_view
from storage import jobs, messages, transcripts
from storage.errors import ObjectMissing, StorageUnavailable
from storage.ids import is_id
from transcribe import Segment, Transcript, corrected, to_srt, to_text, to_vtt

router = APIRouter(prefix="/v1/messages/{message_id}", tags=["transcripts"])
_WRITTEN = ("completed", "no_speech")
_TYPES = {"text": "text/plain", "vtt": "text/vtt", "srt": "application/x-subrip"}


class WordView(BaseModel):
    start_ms: int
    end_ms: int
    text: str
    probability: float


class SegmentView(BaseModel):
    start_ms: int
    end_ms: int
    text: str
    words: list[WordView]


class FullTranscriptView(TranscriptView):
    segments: list[SegmentView]


class VersionView(TranscriptView):
    active: bool


@router.get(
    "/transcript",
    response_model=FullTranscriptView,
    responses={
        200: {
            "description": "empty text when nobody speaks",
            "content": {kind: {"schema": {"type": "string"}} for kind in _TYPES.values()},
        },
        **answers("voice_not_ready", "transcript_not_ready"),
    },
)
def get_transcript(
    message_id: str,
    here: Here,
    user: ActingUser,
    wanted: Annotated[Literal["json", "text", "vtt", "srt"], Query(alias="format")] = "json",
) -> Response:
    with here.database.transaction() as connection:
        _, voice = seen_voice(connection, message_id, user)
    stored = _written(voice)
    spoken = _spoken(here, stored, voice.corrected_text)
    if wanted == "json":
        view = transcript_view(stored, voice.corrected_text)
        segments = [_segment_view(segment) for segment in spoken.segments]
        return json_answer(FullTranscriptView(**view.model_dump(), segments=segments))
    write = {"text": to_text, "vtt": to_vtt, "srt": to_srt}[wanted]
    return Response(write(spoken), media_type=_TYPES[wanted])


@router.get("/transcripts", response_model=paging.Page[VersionView], responses=answers())
def list_versions(
    message_id: str, here: Here, user: ActingUser, limit: paging.Limit = 50, cursor: paging.Cursor = None
) -> Response:
    """Newest first."""
    before = paging.decode_seq(cursor)
    with here.database.transaction() as connection:
        _, voice = seen_voice(connection, message_id, user)
        rows = transcripts.versions(connection, message_id, limit=limit + 1, before=before)
    found, last = paging.cut(rows, limit)
    views = [_version_view(version, voice) for version in found]
    return json_answer(paging.Page[VersionView](items=views, next_cursor=last and paging.encode(last.version)))


@router.post(
    "/transcripts",
    status_code=202,
    response_model=VersionView,
    responses=answers(
        "voice_not_ready", "transcript_not_ready", "idempotency_conflict", "idempotency_mismatch", "too_large"
    ),
)
def transcribe_again(
    message_id: str,
    request: Request,
    here: Here,
    caller: AnyCaller,
    user: ActingUser,
    body: NewTranscript = NewTranscript(),
    key: Key = None,
) -> Response:
    """Makes a further version, for instance in a language that was not recognised. What is there stays."""
    if body.model is not None and not (caller.is_service or caller.is_admin) and not is_model_name(body.model):
        raise Problem("invalid_request", "body.model: the name of a model, such as base")
    require_model(body.model)
    with here.database.transaction() as connection:
        _, voice = held_voice(connection, message_id, user)
        made = once(connection, request, user, key, body, lambda: _add_version(connection, message_id, voice, body))
        version = transcripts.get(connection, message_id, made.resource_id)
        if version is None:
            raise not_found("transcript")
    if not made.replayed:
        here.ring("speech")
    return json_answer(_version_view(version, voice), made.status, made.headers)


@router.post(
    "/transcripts/{transcript_id}/activate", response_model=MessageView, responses=answers("transcript_not_ready")
)
def activate_version(message_id: str, transcript_id: str, here: Here, caller: AnyCaller, user: ActingUser) -> Response:
    """Shows this version from now on. For the sender, the host application and operators."""
    with here.database.transaction() as connection:
        message, _ = held_voice(connection, message_id, user)
        if message.sender_id != user and not (caller.is_service or caller.is_admin):
            raise Problem("forbidden", "only its sender may choose a message's transcript")
        version = transcripts.get(connection, message_id, transcript_id) if is_id("tra", transcript_id) else None
        if version is None:
            raise not_found("transcript")
        if version.state not in _WRITTEN:
            raise Problem("transcript_not_ready", f"this version is {version.state}")
        transcripts.activate(connection, message_id, message.thread_id, transcript_id)
        changed = seen(connection, message_id, user)
    return json_answer(here.renderer.message(changed))


@router.put(
    "/transcript/correction",
    response_model=MessageView,
    responses=answers("voice_not_ready", "transcript_not_ready", "too_large"),
)
def correct(message_id: str, body: Correction, here: Here, user: ActingUser) -> Response:
    """The sender's own words stand in for the machine's, which are kept."""
    return _change_correction(here, message_id, user, body.text)


@router.delete(
    "/transcript/correction",
    response_model=MessageView,
    responses=answers("voice_not_ready", "transcript_not_ready"),
)
def uncorrect(message_id: str, here: Here, user: ActingUser) -> Response:
    return _change_correction(here, message_id, user, None)


def _change_correction(here: Services, message_id: str, user: str, text: str | None) -> Response:
    with here.database.transaction() as connection:
        message, voice = held_voice(connection, message_id, user)
        if message.sender_id != user:
            raise Problem("forbidden", "only its sender may correct what a message says")
        require_ready(voice)
        if voice.transcript is None or voice.transcript.state in ("pending", "processing"):
            raise Problem("transcript_not_ready", "there is nothing to correct yet")
        transcripts.correct(connection, message_id, message.thread_id, text)
        changed = seen(connection, message_id, user)
    return json_answer(here.renderer.message(changed))


def _written(voice: messages.Voice) -> messages.StoredTranscript:
    require_ready(voice)
    if voice.transcript is None or voice.transcript.state not in _WRITTEN:
        state = voice.transcript.state if voice.transcript else "missing"
        raise Problem("transcript_not_ready", f"the transcript is {state}")
    return voice.transcript


def _spoken(here: Services, stored: messages.StoredTranscript, correction: str | None) -> Transcript:
    """Segments and words from the object, retimed where the sender corrected the text."""
    if stored.object_key is None:
        raise StorageUnavailable(f"transcript {stored.id} has no object")
    try:
        transcript = Transcript.from_json(here.store.read(stored.object_key))
    except ObjectMissing:
        # Deleted between the row and the object: the row is gone by now too.
        raise not_found("transcript") from None
    return transcript if correction is None else corrected(transcript, correction)


def _segment_view(segment: Segment) -> SegmentView:
    words = [
        WordView(start_ms=word.start_ms, end_ms=word.end_ms, text=word.text, probability=word.probability)
        for word in segment.words
    ]
    return SegmentView(start_ms=segment.start_ms, end_ms=segment.end_ms, text=segment.text, words=words)


def _version_view(version: messages.StoredTranscript, voice: messages.Voice) -> VersionView:
    """Versions show the machine's own text: a correction lies over all of them."""
    active = voice.transcript is not None and voice.transcript.id == version.id
    return VersionView(**transcript_view(version, None).model_dump(), active=active)


def _add_version(connection: Connection, message_id: str, voice: messages.Voice, body: NewTranscript) -> Made:
    require_ready(voice)
    if any(version.state in ("pending", "processing") for version in transcripts.versions(connection, message_id)):
        raise Problem("transcript_not_ready", "a version is being made: wait for it")
    transcript_id = transcripts.add_version(connection, message_id, language=body.language, model=body.model)
    jobs.add(connection, "speech", message_id, transcript_id=transcript_id)
    return Made(202, transcript_id)
