"""What a run does with each of its messages, and what became of it. Each change is made under the job's fence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

from sqlalchemy import ARRAY, Connection, Select, Text, and_, bindparam, func, select, text, update

from storage import events, intents, jobs, search, transcripts
from storage.ids import new_id
from storage.jobs import Job
from storage.messages import StoredRendition
from storage.runs import Outcome
from storage.tables import messages, run_items, runs, voices
from storage.tables import transcripts as versions
from storage.transcripts import SpeechResult, SpeechWork
from storage.voices import MediaResult, MediaWork, media_work

_SHARDS = 16
# Longer than a playback URL may be set to live: what it names must play until then.
_OLD_RENDITIONS_LIVE_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Verdict:
    """`adopted` results become what people see. `reason` is a short code, empty where there is nothing to say."""

    outcome: Outcome
    reason: str = ""
    adopted: bool = False
    words: int = 0


@dataclass(frozen=True)
class Before:
    """What is there now, as the run's result meets it. `left_alone` says why the result is not wanted any more."""

    policy: str
    left_alone: str | None
    state: str | None
    text: str
    language: str | None
    confidence: float | None
    renditions: Sequence[StoredRendition]


@dataclass(frozen=True)
class Item:
    """`words` counts those that are different from before."""

    message_id: str
    outcome: Outcome
    reason: str
    words: int
    previous_id: str | None
    transcript_id: str | None


def start_speech(connection: Connection, started: Sequence[Job]) -> dict[str, SpeechWork]:
    """By the ids of their jobs; those are absent whose message is gone. Versions are made when there are results."""
    asked = {"run_ids": [job.run_id for job in started], "message_ids": [job.message_id for job in started]}
    rows = {(row[0], row[1]): row[1:] for row in connection.execute(_SPEECH, asked)}
    found = {job.id: rows.get((job.run_id, job.message_id)) for job in started}
    return {job_id: _speech_work(*row) for job_id, row in found.items() if row is not None}


def _speech_work(message_id: str, *others: Any) -> SpeechWork:
    return SpeechWork(message_id, new_id("tra"), *others)


def start_media(connection: Connection, job: Job) -> MediaWork | None:
    """None when the message is gone. People go on listening to what is there. Raises AudioGone."""
    row = connection.execute(_MEDIA, {"message_id": job.message_id}).first()
    return None if row is None else media_work(job.message_id, row)


def meet(connection: Connection, job: Job) -> Before:
    """To be called first in the transaction that writes a result: finishes the job, and locks what the result is to
    take the place of. Raises LeaseLost."""
    jobs.finish(connection, job)
    row = connection.execute(_BEFORE, {"run_id": job.run_id, "message_id": job.message_id}).one()
    return Before(
        policy=row.policy,
        left_alone=_left_alone(row),
        state=row.state,
        text=row.text or "",
        language=row.language,
        confidence=row.confidence,
        renditions=[StoredRendition(**each) for each in row.renditions],
    )


def finish_speech(connection: Connection, job: Job, work: SpeechWork, result: SpeechResult, verdict: Verdict) -> None:
    """Keeps the result as a version, unless the message is to be left alone, and shows it when it is adopted."""
    if verdict.outcome == "left_alone":
        intents.expire(connection, [result.object_key])
        return _record(connection, job, verdict)
    transcripts.add_finished(connection, work, result)
    intents.settle(connection, [result.object_key])
    if verdict.adopted:
        _show(connection, job.message_id, work.transcript_id)
        if verdict.outcome == "changed":
            tell(connection, job.message_id, work.thread_id)
    _record(connection, job, verdict, work.transcript_id if verdict.adopted else None)


def finish_media(connection: Connection, job: Job, result: MediaResult, before: Before, verdict: Verdict) -> None:
    """Nobody is told: what people hear is the same message, and its URLs are made anew whenever it is read."""
    made = {rendition.object_key for rendition in result.renditions}
    if not verdict.adopted:
        intents.expire(connection, made)
        return _record(connection, job, verdict)
    connection.execute(
        update(voices)
        .where(voices.c.message_id == job.message_id)
        .values(
            duration_ms=result.duration_ms,
            loudness_lufs=result.loudness_lufs,
            waveform=result.waveform,
            peaks=result.peaks,
            renditions=[asdict(rendition) for rendition in result.renditions],
        )
    )
    intents.settle(connection, made)
    old = {rendition.object_key for rendition in before.renditions} - made
    if old:
        intents.declare(connection, job.message_id, old, ttl_s=_OLD_RENDITIONS_LIVE_S)
    _record(connection, job, verdict)


def give_up(connection: Connection, run_id: str, message_id: str, reason: str) -> None:
    """For a job that is dead: what the message has stays."""
    _write(connection, run_id, message_id, Verdict("failed", reason), None, "")


def refuse(connection: Connection, job: Job, reason: str) -> None:
    """For a recording that can't be done now though it could be once. Raises LeaseLost."""
    jobs.finish(connection, job)
    _record(connection, job, Verdict("failed", reason))


def page(connection: Connection, run_id: str, outcome: Outcome, *, limit: int, after: str | None) -> list[Item]:
    """By message; `outcome` is one of those that are worth a look: refused, left_alone, failed."""
    query = (
        select(*_ITEM)
        .where(run_items.c.run_id == run_id, run_items.c.message_id > (after or ""), _TROUBLE[outcome])
        .order_by(run_items.c.message_id)
        .limit(limit)
    )
    return [Item(*row) for row in connection.execute(query)]


def _left_alone(row: Any) -> str | None:
    if row.run_state in ("cancelled", "reverting", "reverted"):
        return "run_is_over"
    if row.corrected_text is not None:
        return "corrected"
    if row.kind == "transcribe" and row.active_id != row.previous_id:
        return "transcribed_again"
    if row.kind == "transcode" and not row.renditions:
        return "renditions_let_go"
    return None


def _show(connection: Connection, message_id: str, transcript_id: str | None) -> None:
    connection.execute(_SHOW, {"id": message_id, "transcript_id": transcript_id})


def tell(connection: Connection, message_id: str, thread_id: str) -> None:
    """Only where what people read has changed: a run over millions that finds the same words again is no news."""
    search.refresh(connection, message_id)
    events.add(connection, "transcript.completed", thread_id=thread_id, message_id=message_id)


def _record(connection: Connection, job: Job, verdict: Verdict, transcript_id: str | None = None) -> None:
    assert job.run_id is not None
    _write(connection, job.run_id, job.message_id, verdict, transcript_id, job.id)


def _write(
    connection: Connection, run_id: str, message_id: str, verdict: Verdict, transcript_id: str | None, job_id: str
) -> None:
    """The item and its sums; a job that was given up and revived has been counted once already."""
    shard = crc32(job_id.encode()) % _SHARDS
    values = {"run_id": run_id, "message_id": message_id, "transcript_id": transcript_id, "shard": shard}
    connection.execute(_WRITE, values | {name: getattr(verdict, name) for name in ("outcome", "reason", "words")})


def _before() -> Select[Any]:
    active = versions.alias("active")
    return (
        select(
            runs.c.state.label("run_state"),
            runs.c.kind,
            runs.c.policy,
            run_items.c.previous_id,
            voices.c.transcript_id.label("active_id"),
            voices.c.corrected_text,
            voices.c.renditions,
            *(active.c[name] for name in ("state", "text", "language", "confidence")),
        )
        .select_from(run_items)
        .join(runs, runs.c.id == run_items.c.run_id)
        .join(voices, voices.c.message_id == run_items.c.message_id)
        .outerjoin(active, active.c.id == voices.c.transcript_id)
        .where(_MINE)
        .with_for_update(of=[voices, run_items])
    )


_MINE = and_(run_items.c.run_id == text(":run_id"), run_items.c.message_id == text(":message_id"))
_BEFORE = _before()
_SHOW = text("UPDATE voices SET transcript_id = :transcript_id WHERE message_id = :id")
_ASKED = (
    func.unnest(bindparam("run_ids", type_=ARRAY(Text)), bindparam("message_ids", type_=ARRAY(Text)))
    .table_valued("run_id", "message_id")
    .render_derived("asked")
)
# The language that a person asked for once is better than any guess.
_SPEECH = (
    select(
        run_items.c.run_id,
        run_items.c.message_id,
        messages.c.thread_id,
        voices.c.speech_key,
        voices.c.original_key,
        func.coalesce(runs.c.language, versions.c.requested_language, voices.c.language_hint),
        runs.c.model,
    )
    .select_from(_ASKED)
    .join(run_items, and_(run_items.c.run_id == _ASKED.c.run_id, run_items.c.message_id == _ASKED.c.message_id))
    .join(runs, runs.c.id == run_items.c.run_id)
    .join(voices, voices.c.message_id == run_items.c.message_id)
    .join(messages, messages.c.id == run_items.c.message_id)
    .outerjoin(versions, versions.c.id == voices.c.transcript_id)
)
_MEDIA = (
    select(messages.c.thread_id, voices.c.original_key, voices.c.original_size, voices.c.transcript_id)
    .join(messages, messages.c.id == voices.c.message_id)
    .where(voices.c.message_id == text(":message_id"))
)
_ITEM = tuple(
    run_items.c[name] for name in ("message_id", "outcome", "reason", "words", "previous_id", "transcript_id")
)
# Written out: where the planner can't see the outcome it does not find the index.
_TROUBLE = {name: text(f"outcome = '{name}'") for name in ("refused", "left_alone", "failed")}
_WRITE = text(
    "WITH before AS (SELECT outcome, reason, words FROM run_items"
    " WHERE run_id = :run_id AND message_id = :message_id AND outcome IS NOT NULL),"
    " item AS (UPDATE run_items SET outcome = :outcome, reason = :reason, words = :words,"
    " transcript_id = :transcript_id WHERE run_id = :run_id AND message_id = :message_id),"
    " taken_back AS (INSERT INTO run_tallies AS sums SELECT :run_id, outcome, reason, :shard, -1, -words FROM before"
    " WHERE (outcome, reason) <> (:outcome, :reason)"
    " ON CONFLICT (run_id, outcome, reason, shard) DO UPDATE"
    " SET messages = sums.messages - 1, words = sums.words + excluded.words)"
    " INSERT INTO run_tallies AS sums SELECT :run_id, :outcome, :reason, :shard, 1, :words"
    " WHERE NOT EXISTS (SELECT FROM before WHERE (outcome, reason) = (:outcome, :reason))"
    " ON CONFLICT (run_id, outcome, reason, shard) DO UPDATE"
    " SET messages = sums.messages + 1, words = sums.words + excluded.words"
)
