"""Speech jobs, several messages at once: speech audio out of S3, through the engine, transcripts into S3."""

import hashlib
import logging
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from pipeline import reprocess_items
from pipeline.context import Context, Stopping
from pipeline.publishing import Artifact, publish
from storage import jobs, run_items, threads, transcripts
from storage.errors import AudioGone
from storage.jobs import Job
from storage.keys import object_key
from storage.transcripts import SpeechResult, SpeechWork
from transcode import make_speech
from transcribe import Clip, Engine, ModelError, Transcript, load_clip
from transcribe.protocol import nothing

log = logging.getLogger(__name__)
# As many messages at the same time; reading may mean decoding an original again.
_READERS, _WRITERS = 4, 8
_TURN_S = 0.1
Each = TypeVar("Each")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Prepared:
    job: Job
    work: SpeechWork
    clip: Clip


def process(
    context: Context,
    claimed: Sequence[Job],
    failed: Callable[[Job, Exception], None],
    between: Callable[[], None] = nothing,
) -> None:
    """Each job ends by itself: whatever goes wrong with one is told to `failed` and harms no other.

    `between` is called a few times a second while the work goes on, and may do such work itself.
    """

    def prepare(job: Job) -> Prepared | None:
        try:
            return _prepared(context, job)
        except Exception as error:
            failed(job, error)
            return None

    prepared = _side_by_side(prepare, claimed, _READERS, between)
    for model, group in _by_model([item for item in prepared if item is not None]).items():
        try:
            # Loading one takes seconds.
            (engine,) = _side_by_side(context.engine_for, [model], 1, between)
        except ModelError as error:
            for item in group:
                failed(item.job, error)
        else:
            _transcribe_group(context, engine, group, failed, between)


def _transcribe_group(
    context: Context,
    engine: Engine,
    group: Sequence[Prepared],
    failed: Callable[[Job, Exception], None],
    between: Callable[[], None],
) -> None:
    def publish_each(found: tuple[Prepared, Transcript | Exception]) -> None:
        item, outcome = found
        try:
            if isinstance(outcome, Exception):
                raise outcome
            _publish(context, engine, item, outcome)
        except Exception as error:
            failed(item.job, error)

    def take_turns() -> None:
        context.stop_in_time()
        between()

    try:
        outcomes = _transcribe(engine, group, take_turns)
    except Stopping as stopping:
        for item in group:
            failed(item.job, stopping)
    else:
        _side_by_side(publish_each, list(zip(group, outcomes, strict=True)), _WRITERS, between)


def _side_by_side(
    do: Callable[[Each], Done], items: Sequence[Each], most: int, between: Callable[[], None]
) -> list[Done]:
    """Reading and writing is mostly waiting for the object store. What comes alone and lets nobody pass, as live
    messages do, is not handed over to a thread."""
    if len(items) == 1 and between is nothing:
        return [do(items[0])]
    with ThreadPoolExecutor(most, "speech-files") as hands:
        futures = [hands.submit(do, item) for item in items]
        while wait(futures, _TURN_S).not_done:
            between()
    return [future.result() for future in futures]


def _prepared(context: Context, job: Job) -> Prepared | None:
    with context.database.transaction(durable=False) as connection:
        jobs.confirm(connection, job)
        work = _start(connection, job)
        if work is None:
            return None
        prior = _prior(connection, work)
        names = _names(connection, work) if context.settings.transcribe.prompt_names else None
    return Prepared(job, work, _clip(context, work, prior, names))


def _start(connection: Connection, job: Job) -> SpeechWork | None:
    if job.run_id is not None:
        return run_items.start_speech(connection, job)
    assert job.transcript_id is not None
    return transcripts.start(connection, job.transcript_id)


def _prior(connection: Connection, work: SpeechWork) -> dict[str, float] | None:
    """What is usually spoken in the thread; nobody needs it where the language was given."""
    if work.language is not None:
        return None
    usual = transcripts.usual_languages(connection, work.thread_id)
    return {language: float(count) for language, count in usual.items()} or None


def _names(connection: Connection, work: SpeechWork) -> str:
    return ", ".join(threads.members(connection, work.thread_id))


def _clip(context: Context, work: SpeechWork, prior: Mapping[str, float] | None, names: str | None) -> Clip:
    with tempfile.TemporaryDirectory(prefix="earshot-speech-") as name:
        folder = Path(name)
        if work.speech_key is not None:
            path = folder / "speech.flac"
            context.store.download(work.speech_key, path)
        else:
            if work.original_key is None:
                raise AudioGone("neither the speech audio nor the original was kept")
            context.store.download(work.original_key, folder / "original")
            path = make_speech(folder / "original", folder, context.settings.transcode)
        return load_clip(path, language=work.language, prior=prior, prompt=names)


def _by_model(prepared: Sequence[Prepared]) -> Mapping[str | None, Sequence[Prepared]]:
    groups = defaultdict(list)
    for item in prepared:
        groups[item.work.model].append(item)
    return groups


def _transcribe(
    engine: Engine, prepared: Sequence[Prepared], between: Callable[[], None]
) -> Sequence[Transcript | Exception]:
    try:
        return engine.transcribe([item.clip for item in prepared], between)
    except Stopping:
        raise
    except Exception as error:
        if len(prepared) == 1:
            return [error]
        # The engine fails as a whole: find out whose fault it is by asking for each alone.
        log.exception("a group of %d failed; trying them one by one", len(prepared))
        return [_transcribe(engine, [item], between)[0] for item in prepared]


def _publish(context: Context, engine: Engine, item: Prepared, transcript: Transcript) -> None:
    body = transcript.to_json().encode()
    sha256 = hashlib.sha256(body).hexdigest()
    prefix = context.settings.storage.s3_prefix
    key = object_key(prefix, item.work.message_id, "transcript", sha256, "json")
    result = SpeechResult(
        state=transcript.state,
        language=transcript.language,
        language_probability=transcript.language_probability,
        confidence=None if transcript.avg_logprob is None else round(math.exp(transcript.avg_logprob), 4),
        text=transcript.text,
        model=transcript.model,
        object_key=key,
        word_times=word_times(transcript),
        model_version=engine.version,
    )

    def commit() -> None:
        if item.job.run_id is not None:
            return reprocess_items.finish_speech(context, item.job, item.work, result)
        with context.database.transaction() as connection:
            transcripts.finish(
                connection, item.job, item.work, result, keep_speech=context.settings.pipeline.keep_speech_audio
            )

    publish(context, item.job, [Artifact(key, body, len(body), sha256, "application/json")], commit)
    log.info("%s transcribed: %s %s", item.work.message_id, transcript.state, transcript.language)


def word_times(transcript: Transcript) -> list[tuple[int, int]]:
    """Where each word begins, in characters of the text and in milliseconds."""
    found = []
    reached = 0
    for word in (word for segment in transcript.segments for word in segment.words):
        at = transcript.text.find(word.text.strip(), reached)
        if at >= 0:
            found.append((at, word.start_ms))
            reached = at + len(word.text.strip())
    return found
