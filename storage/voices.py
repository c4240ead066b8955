"""What the media worker reads and writes of a voice message. Each change is made under the job's fence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from storage import events, imports, intents, jobs
from storage.errors import AudioGone
from storage.messages import StoredRendition
from storage.tables import messages, voices


@dataclass(frozen=True)
class MediaWork:
    """What a media job needs to know."""

    message_id: str
    thread_id: str
    original_key: str
    original_size: int
    transcript_id: str


@dataclass(frozen=True)
class MediaResult:
    duration_ms: int
    loudness_lufs: float | None
    waveform: bytes
    peaks: bytes
    renditions: Sequence[StoredRendition]
    speech_key: str


def start(connection: Connection, message_id: str) -> MediaWork | None:
    """Marks the voice as being processed; None when the message is gone. Raises AudioGone without an original."""
    row = connection.execute(
        update(voices)
        .where(voices.c.message_id == message_id, messages.c.id == voices.c.message_id)
        .values(state="processing")
        .returning(messages.c.thread_id, voices.c.original_key, voices.c.original_size, voices.c.transcript_id)
    ).first()
    return None if row is None else media_work(message_id, row)


def media_work(message_id: str, row: Any) -> MediaWork:
    """Raises AudioGone without an original."""
    if row.original_key is None:
        raise AudioGone("the original was not kept")
    return MediaWork(message_id, *row)


def finish(connection: Connection, job: jobs.Job, work: MediaWork, result: MediaResult) -> None:
    """The voice is ready and its speech is to be transcribed; raises LeaseLost."""
    jobs.finish(connection, job)
    connection.execute(
        update(voices)
        .where(voices.c.message_id == work.message_id)
        .values(
            state="ready",
            error_code=None,
            error_message=None,
            duration_ms=result.duration_ms,
            loudness_lufs=result.loudness_lufs,
            waveform=result.waveform,
            peaks=result.peaks,
            renditions=[asdict(rendition) for rendition in result.renditions],
            speech_key=result.speech_key,
        )
    )
    intents.settle(connection, [r.object_key for r in result.renditions] + [result.speech_key])
    jobs.add(
        connection,
        "speech",
        work.message_id,
        transcript_id=work.transcript_id,
        lane=jobs.Lane(job.lane),
        quiet=job.quiet,
    )
    if not job.quiet:
        events.add(connection, "voice.ready", thread_id=work.thread_id, message_id=work.message_id)


def reject(connection: Connection, job: jobs.Job, work: MediaWork, *, code: str, message: str) -> None:
    """The file can't become a message that plays: final, and the file's fault. An imported message goes again."""
    jobs.finish(connection, job)
    if job.quiet:
        imports.withdraw(connection, work.message_id, code)
    else:
        _end(connection, work.message_id, "rejected", code, message)


def fail(connection: Connection, message_id: str, *, code: str, message: str, quiet: bool = False) -> None:
    """We could not process it; the original is kept and the job can be revived."""
    _end(connection, message_id, "failed", code, message, quiet=quiet)


def revive(connection: Connection, message_id: str) -> None:
    connection.execute(
        update(voices)
        .where(voices.c.message_id == message_id, voices.c.state == "failed")
        .values(state="received", error_code=None, error_message=None)
    )


def _end(connection: Connection, message_id: str, state: str, code: str, message: str, *, quiet: bool = False) -> None:
    changed = connection.execute(
        update(voices)
        .where(voices.c.message_id == message_id)
        .values(state=state, error_code=code, error_message=message)
    )
    if changed.rowcount and not quiet:
        thread_id = connection.execute(select(messages.c.thread_id).where(messages.c.id == message_id)).scalar_one()
        events.add(connection, f"voice.{state}", thread_id=thread_id, message_id=message_id)
