"""Speech jobs, several messages at once: speech audio out of S3, through the engine, transcripts into S3."""

import hashlib
import logging
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import reprocess_items
from pipeline.context import Context
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

    `between` is called a few times a second while the engine works, and may use it meanwhile.
    """
    prepared: list[Prepared] = []
    for job in claimed:
        try:
            if (work := _start(context, job)) is not None:
                prepared.append(Prepared(job, work, _clip(context, work)))
        except Exception as error:
            failed(job, error)
    for model, group in _by_model(prepared).items():
        try:
            engine = context.engine_for(model)
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
    for item, outcome in zip(group, _transcribe(engine, group, between), strict=True):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            _publish(context, engine, item, outcome)
        except Exception as error:
            failed(item.job, error)


def _start(context: Context, job: Job) -> SpeechWork | None:
    with context.database.transaction() as connection:
        jobs.confirm(connection, job)
        if job.run_id is not None:
            return run_items.start_speech(connection, job)
        assert job.transcript_id is not None
        return transcripts.start(connection, job.transcript_id)


def _clip(context: Context, work: SpeechWork) -> Clip:
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
        return load_clip(path, language=work.language, prior=_prior(context, work), prompt=_names(context, work))


def _prior(context: Context, work: SpeechWork) -> dict[str, float] | None:
    """What is usually spoken in the thread; nobody needs it where the language was given."""
    if work.language is not None:
        return None
    with context.database.transaction() as connection:
        usual = transcripts.usual_languages(connection, work.thread_id)
    return {language: float(count) for language, count in usual.items()} or None


def _names(context: Context, work: SpeechWork) -> str | None:
    if not context.settings.transcribe.prompt_names:
        return None
    with context.database.transaction() as connection:
        return ", ".join(threads.members(connection, work.thread_id))


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
        confidence=None if transcript.avg_logprob is None else math.exp(transcript.avg_logprob),
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
