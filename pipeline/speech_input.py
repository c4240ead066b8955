"""What the engine is given for a speech job: the recording, and what is known of its language and names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.work_folders import work_folder
from storage import jobs, run_items, threads, transcripts
from storage.errors import AudioGone
from storage.jobs import Job
from storage.transcripts import SpeechWork
from transcode import make_speech
from transcribe import Clip, load_clip


@dataclass(frozen=True)
class Begun:
    """`prior`: how usual each language is in the thread; `names`: who is in it, where the model is to know."""

    job: Job
    work: SpeechWork
    prior: Mapping[str, float] | None
    names: str | None


def begin(context: Context, claimed: Sequence[Job], failed: Callable[[Job, Exception], None]) -> list[Begun]:
    """Those whose messages are still there. Of a run's jobs nothing is to be marked, so they are read together."""
    of_runs = [job for job in claimed if job.run_id is not None]
    groups = [*([job] for job in claimed if job.run_id is None), *([of_runs] if of_runs else [])]
    begun: list[Begun] = []
    for group in groups:
        try:
            begun += _read(context, group) if group is of_runs else _start(context, group[0])
        except Exception as error:
            for job in group:
                failed(job, error)
    return begun


def _read(context: Context, of_runs: Sequence[Job]) -> list[Begun]:
    with context.database.reading() as connection:
        works = run_items.start_speech(connection, of_runs)
        return _begun(context, connection, [(job, works[job.id]) for job in of_runs if job.id in works])


def _start(context: Context, job: Job) -> list[Begun]:
    assert job.transcript_id is not None
    with context.database.transaction(durable=False) as connection:
        jobs.confirm(connection, job)
        work = transcripts.start(connection, job.transcript_id)
        return [] if work is None else _begun(context, connection, [(job, work)])


def _begun(context: Context, connection: Connection, found: Sequence[tuple[Job, SpeechWork]]) -> list[Begun]:
    """What is usually spoken in a thread is not needed where the language was given."""
    unsure = {work.thread_id for _, work in found if work.language is None}
    usual = transcripts.usual_languages(connection, unsure) if unsure else {}
    named = {work.thread_id for _, work in found} if context.settings.transcribe.prompt_names else set()
    names = {thread: ", ".join(threads.members(connection, thread)) for thread in named}
    return [
        Begun(job, work, usual.get(work.thread_id) if work.language is None else None, names.get(work.thread_id))
        for job, work in found
    ]


def clip_of(context: Context, begun: Begun) -> Clip:
    """Raises AudioGone, TranscribeError, storage's errors and what `make_speech` raises."""
    work = begun.work
    if work.speech_key is not None:
        return _loaded(begun, BytesIO(context.store.read(work.speech_key)))
    if work.original_key is None:
        raise AudioGone("neither the speech audio nor the original was kept")
    with work_folder() as folder:
        context.store.download(work.original_key, folder / "original")
        return _loaded(begun, make_speech(folder / "original", folder, context.settings.transcode))


def _loaded(begun: Begun, speech: Path | BytesIO) -> Clip:
    return load_clip(speech, language=begun.work.language, prior=begun.prior, prompt=begun.names)
