"""What a message, thread or transcript looks like from outside; the same in answers, events and webhooks."""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel

from pipeline.playback import Playback
from storage.messages import Message, StoredRendition, StoredTranscript, Voice
from storage.threads import Thread

_PREVIEW = 100
View = TypeVar("View", bound=BaseModel)
Moment = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class ErrorView(BaseModel):
    code: str
    message: str


class RenditionView(BaseModel):
    format: Literal["m4a", "opus"]
    mime_type: str
    url: str
    expires_at: Moment
    size: int
    sha256: str


class TranscriptView(BaseModel):
    id: str
    state: Literal["pending", "processing", "completed", "no_speech", "failed"]
    version: int
    language: str | None
    language_probability: float | None
    # Mean probability of the machine's tokens, 0-1.
    confidence: float | None
    text: str | None
    machine_text: str | None
    corrected: bool
    model: str | None
    error: ErrorView | None


class VoiceView(BaseModel):
    state: Literal["received", "processing", "ready", "rejected", "failed"]
    error: ErrorView | None
    duration_ms: int | None
    waveform: str | None
    loudness_lufs: float | None
    renditions: list[RenditionView]
    transcript: TranscriptView | None


class ReceiptsView(BaseModel):
    read_by: list[str]
    played_by: list[str]


class MessageView(BaseModel):
    id: str
    thread_id: str
    sender_id: str
    kind: Literal["text", "voice"]
    created_at: Moment
    external_id: str | None
    text: str | None
    voice: VoiceView | None
    # One line for a notification: what was written, or how long and what was said.
    preview: str
    receipts: ReceiptsView


class ThreadView(BaseModel):
    """`unread_count` and `unplayed_count` are of the newest 1,000 messages."""

    id: str
    title: str | None
    external_id: str | None
    participants: list[str]
    created_at: Moment
    last_message: MessageView | None
    unread_count: int
    unplayed_count: int


class Renderer:
    """Writes fresh playback URLs into what it renders.

    Views are constructed without validation: the values are our own, and a page holds thousands of them.
    """

    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    def thread(self, thread: Thread, last_message: Message | None) -> ThreadView:
        return ThreadView(
            id=thread.id,
            title=thread.title,
            external_id=thread.external_id,
            participants=thread.participants,
            created_at=thread.created_at,
            last_message=last_message and self.message(last_message),
            unread_count=thread.unread_count,
            unplayed_count=thread.unplayed_count,
        )

    def message(self, message: Message) -> MessageView:
        return _made(
            MessageView,
            id=message.id,
            thread_id=message.thread_id,
            sender_id=message.sender_id,
            kind="text" if message.voice is None else "voice",
            created_at=message.created_at.astimezone(UTC),
            external_id=message.external_id,
            text=message.text,
            voice=message.voice and self._voice(message.id, message.voice),
            preview=preview(message),
            receipts=_made(ReceiptsView, read_by=message.read_by, played_by=message.played_by),
        )

    def _voice(self, message_id: str, voice: Voice) -> VoiceView:
        return _made(
            VoiceView,
            state=voice.state,
            error=error_view(voice.error_code, voice.error_message),
            duration_ms=voice.duration_ms,
            waveform=voice.waveform and base64.b64encode(voice.waveform).decode(),
            loudness_lufs=voice.loudness_lufs,
            renditions=[self._rendition(message_id, rendition) for rendition in voice.renditions],
            transcript=voice.transcript and transcript_view(voice.transcript, voice.corrected_text),
        )

    def _rendition(self, message_id: str, rendition: StoredRendition) -> RenditionView:
        link = self._playback.link(message_id, rendition)
        return _made(
            RenditionView,
            format=rendition.format,
            mime_type=rendition.mime_type,
            url=link.url,
            expires_at=link.expires_at,
            size=rendition.size,
            sha256=rendition.sha256,
        )


def _made(view: type[View], **values: Any) -> View:
    """As `model_construct` does it, without its search for aliases and defaults, which none of these views has."""
    made = view.__new__(view)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


def transcript_view(transcript: StoredTranscript, corrected_text: str | None) -> TranscriptView:
    """The sender's correction stands in for the machine's text, which stays beside it."""
    return _made(
        TranscriptView,
        id=transcript.id,
        state=transcript.state,
        version=transcript.version,
        language=transcript.language,
        language_probability=transcript.language_probability,
        confidence=transcript.confidence,
        text=transcript.text if corrected_text is None else corrected_text,
        machine_text=transcript.text,
        corrected=corrected_text is not None,
        model=transcript.model,
        error=error_view(transcript.error_code, transcript.error_message),
    )


def preview(message: Message) -> str:
    """`Voice message, 0:12: Can we meet at three on…`, as much of it as is known yet."""
    voice = message.voice
    if voice is None:
        return _shortened(message.text or "")
    label = "Voice message"
    if voice.duration_ms is not None:
        label += f", {voice.duration_ms // 60_000}:{voice.duration_ms // 1000 % 60:02}"
    said = voice.corrected_text or (voice.transcript and voice.transcript.text)
    return f"{label}: {_shortened(said)}" if said and voice.state == "ready" else label


def _shortened(text: str) -> str:
    """One line, cut between words where there are any."""
    line = " ".join(text.split())
    if len(line) <= _PREVIEW:
        return line
    cut = line.rfind(" ", _PREVIEW // 2, _PREVIEW)
    return line[: cut if cut > 0 else _PREVIEW - 1] + "…"


def error_view(code: str | None, message: str | None) -> ErrorView | None:
    return None if code is None else ErrorView(code=code, message=message or "")
