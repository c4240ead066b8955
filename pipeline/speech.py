"""Speech jobs, several messages at once: speech audio out of S3, through the engine, transcripts into S3."""

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from pipeline import reprocess_items
from pipeline.context import Context, Stopping
from pipeline.publishing import Artifact, declare, store
from pipeline.speech_input import Begun, begin, clip_of
from storage import transcripts
from storage.jobs import Job
from storage.keys import object_key
from storage.transcripts import SpeechResult, SpeechWork
from transcribe import Clip, Engine, ModelError, Transcript
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


@dataclass(frozen=True)
class Made:
    job: Job
    work: SpeechWork
    result: SpeechResult
    artifact: Artifact


def process(
    context: Context,
    claimed: Sequence[Job],
    failed: Callable[[Job, Exception], None],
    between: Callable[[], None] = nothing,
) -> None:
    """Each job ends by itself: whatever goes wrong with one is told to `failed` and harms no other.

    `between` is called a few times a second while the work goes on, and may do such work itself.
    """

    def prepare(begun: Begun) -> Prepared | None:
        try:
            return Prepared(begun.job, begun.work, clip_of(context, begun))
        except Exception as error:
            failed(begun.job, error)
            return None

    prepared = _side_by_side(prepare, begin(context, claimed, failed), _READERS, between)
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
    def take_turns() -> None:
        context.stop_in_time()
        between()

    try:
        outcomes = _transcribe(engine, group, take_turns)
    except Stopping as stopping:
        for item in group:
            failed(item.job, stopping)
    else:
        _publish(context, engine, list(zip(group, outcomes, strict=True)), failed, between)


def _publish(
    context: Context,
    engine: Engine,
    found: Sequence[tuple[Prepared, Transcript | Exception]],
    failed: Callable[[Job, Exception], None],
    between: Callable[[], None],
) -> None:
    def publish(made: Made) -> None:
        try:
            store(context, made.job, [made.artifact], lambda: _commit(context, made))
        except Exception as error:
            failed(made.job, error)

    written = []
    for item, outcome in found:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            written.append(_made(context, engine, item, outcome))
        except Exception as error:
            failed(item.job, error)
    _side_by_side(publish, _declared(context, written, failed), _WRITERS, between)


def _side_by_side(
    do: Callable[[Each], Done], items: Sequence[Each], most: int, between: Callable[[], None]
) -> list[Done]:
    """Reading and writing is mostly waiting for the object store. What comes alone and lets nobody pass, as live
    messages do, is not handed over to a thread."""
    if len(items) < 2 and between is nothing:
        return [do(item) for item in items]
    with ThreadPoolExecutor(most, "speech-files") as hands:
        futures = [hands.submit(do, item) for item in items]
        while wait(futures, _TURN_S).not_done:
            between()
    return [future.result() for future in futures]


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


def _made(context: Context, engine: Engine, item: Prepared, transcript: Transcript) -> Made:
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
    return Made(item.job, item.work, result, Artifact(key, body, len(body), sha256, "application/json"))


def _declared(context: Context, written: Sequence[Made], failed: Callable[[Job, Exception], None]) -> list[Made]:
    """Those whose objects may be put."""
    if not written:
        return []
    try:
        refused = declare(context, [(made.job, [made.artifact.key]) for made in written])
    except Exception as error:
        for made in written:
            failed(made.job, error)
        return []
    for made in written:
        if made.job.id in refused:
            failed(made.job, refused[made.job.id])
    return [made for made in written if made.job.id not in refused]


def _commit(context: Context, made: Made) -> None:
    if made.job.run_id is not None:
        return reprocess_items.finish_speech(context, made.job, made.work, made.result)
    keep_speech = context.settings.pipeline.keep_speech_audio
    with context.database.transaction() as connection:
        transcripts.finish(connection, made.job, made.work, made.result, keep_speech=keep_speech)
    log.info("%s transcribed: %s %s", made.job.message_id, made.result.state, made.result.language)


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
