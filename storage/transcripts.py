"""Versions of a message's transcript. Text rests in the row, segments and words in the object."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, bindparam, func, literal, select, text, update

from storage import events, intents, jobs, search, word_times
from storage.ids import new_id
from storage.messages import StoredTranscript
from storage.tables import NOW, messages, transcripts, voices


@dataclass(frozen=True)
class SpeechWork:
    """What a speech job needs to know; a key is None when its object was not kept."""

    message_id: str
    transcript_id: str
    thread_id: str
    speech_key: str | None
    original_key: str | None
    language: str | None
    # None: the one that the worker runs.
    model: str | None = None


@dataclass(frozen=True)
class SpeechResult:
    """`state` is completed or no_speech."""

    state: str
    language: str | None
    language_probability: float | None
    confidence: float | None
    text: str
    model: str
    object_key: str
    # (place in the text, start in the recording) of each word
    word_times: Sequence[tuple[int, int]] = ()
    # Which weights of that name.
    model_version: str | None = None


def start(connection: Connection, transcript_id: str) -> SpeechWork | None:
    """Marks the transcript as being made; None when it is gone."""
    row = connection.execute(
        update(transcripts)
        .where(
            transcripts.c.id == transcript_id,
            voices.c.message_id == transcripts.c.message_id,
            messages.c.id == transcripts.c.message_id,
        )
        .values(state="processing", error_code=None, error_message=None)
        .returning(
            transcripts.c.message_id,
            transcripts.c.id,
            messages.c.thread_id,
            voices.c.speech_key,
            voices.c.original_key,
            transcripts.c.requested_language,
            transcripts.c.requested_model,
        )
    ).first()
    return None if row is None else SpeechWork(*row)


def usual_languages(connection: Connection, thread_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """How often each language was spoken in the latest 30 transcribed messages of each thread."""
    rows = connection.execute(_USUAL_LANGUAGES, {"thread_ids": list(thread_ids)})
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for thread_id, language, count in rows:
        found[thread_id][language] = count
    return found


def finish(
    connection: Connection, job: jobs.Job, work: SpeechWork, result: SpeechResult, *, keep_speech: bool = True
) -> None:
    """Raises LeaseLost. A version that says nothing never takes the place of one that says something."""
    jobs.finish(connection, job)
    version = update(transcripts).where(transcripts.c.id == work.transcript_id)
    connection.execute(version.values(**_result(result), finished_at=NOW))
    intents.settle(connection, [result.object_key])
    _adopt(connection, work, result)
    search.refresh(connection, work.message_id)
    if not keep_speech and work.speech_key is not None:
        _give_up_speech(connection, work.message_id, work.speech_key)
    if not job.quiet:
        events.add(connection, "transcript.completed", thread_id=work.thread_id, message_id=work.message_id)


def _adopt(connection: Connection, work: SpeechWork, result: SpeechResult) -> None:
    if result.text or not _other_text(connection, work):
        connection.execute(
            update(voices).where(voices.c.message_id == work.message_id).values(transcript_id=work.transcript_id)
        )


def _other_text(connection: Connection, work: SpeechWork) -> str | None:
    """What the version that people see says, when it is another one."""
    return connection.execute(
        select(transcripts.c.text)
        .join(voices, voices.c.transcript_id == transcripts.c.id)
        .where(voices.c.message_id == work.message_id, transcripts.c.id != work.transcript_id)
    ).scalar()


def _give_up_speech(connection: Connection, message_id: str, speech_key: str) -> None:
    connection.execute(update(voices).where(voices.c.message_id == message_id).values(speech_key=None))
    intents.declare(connection, message_id, [speech_key], ttl_s=0)


def fail(connection: Connection, transcript_id: str, *, code: str, message: str, quiet: bool = False) -> None:
    row = connection.execute(
        update(transcripts)
        .where(transcripts.c.id == transcript_id, messages.c.id == transcripts.c.message_id)
        .values(state="failed", error_code=code, error_message=message, finished_at=NOW)
        .returning(messages.c.id, messages.c.thread_id)
    ).first()
    if row is not None and not quiet:
        events.add(connection, "transcript.failed", thread_id=row.thread_id, message_id=row.id)


def revive(connection: Connection, transcript_id: str) -> None:
    connection.execute(
        update(transcripts)
        .where(transcripts.c.id == transcript_id, transcripts.c.state == "failed")
        .values(state="pending", error_code=None, error_message=None, finished_at=None)
    )


def versions(
    connection: Connection, message_id: str, *, limit: int | None = None, before: int | None = None
) -> list[StoredTranscript]:
    """Newest first; `before` is the last version's number of the page before."""
    query = select(*_STORED).where(transcripts.c.message_id == message_id).order_by(transcripts.c.version.desc())
    if before is not None:
        query = query.where(transcripts.c.version < literal(before, BigInteger))
    query = query.limit(limit)
    return [StoredTranscript(**row._mapping) for row in connection.execute(query)]


def get(connection: Connection, message_id: str, transcript_id: str) -> StoredTranscript | None:
    query = select(*_STORED).where(transcripts.c.message_id == message_id, transcripts.c.id == transcript_id)
    row = connection.execute(query).first()
    return None if row is None else StoredTranscript(**row._mapping)


def activate(connection: Connection, message_id: str, thread_id: str, transcript_id: str) -> None:
    """Shows this version from now on."""
    _change_voice(connection, message_id, thread_id, transcript_id=transcript_id)


def correct(connection: Connection, message_id: str, thread_id: str, text: str | None) -> None:
    """Lays the sender's text over whichever version is active; None takes it off again."""
    _change_voice(connection, message_id, thread_id, corrected_text=text)


def _change_voice(connection: Connection, message_id: str, thread_id: str, **values: str | None) -> None:
    changed = connection.execute(update(voices).where(voices.c.message_id == message_id).values(**values))
    if changed.rowcount:
        search.refresh(connection, message_id)
        events.add(connection, "transcript.completed", thread_id=thread_id, message_id=message_id)


def add_version(connection: Connection, message_id: str, *, language: str | None, model: str | None = None) -> str:
    """A further version, still to be made."""
    transcript_id = new_id("tra")
    wanted = {"requested_language": language, "requested_model": model}
    _add(connection, message_id, id=transcript_id, state="pending", **wanted)
    return transcript_id


def add_finished(connection: Connection, work: SpeechWork, result: SpeechResult) -> None:
    """A further version that nobody was told of before it was made; the voice's row must be locked."""
    values = {"id": work.transcript_id, "message_id": work.message_id, "requested_language": work.language}
    connection.execute(_ADD_FINISHED, values | _result(result))


def _add(connection: Connection, message_id: str, **values: Any) -> None:
    """The voice's row is locked so that numbers don't collide."""
    connection.execute(select(voices.c.message_id).where(voices.c.message_id == message_id).with_for_update())
    latest = select(func.max(transcripts.c.version)).where(transcripts.c.message_id == message_id)
    version = func.coalesce(latest.scalar_subquery(), 0) + 1
    connection.execute(transcripts.insert().values(message_id=message_id, version=version, **values))


def _result(result: SpeechResult) -> dict[str, Any]:
    return {
        "state": result.state,
        "language": result.language,
        "language_probability": result.language_probability,
        "confidence": result.confidence,
        "text": result.text,
        "word_times": word_times.pack(result.word_times),
        "model": result.model,
        "model_version": result.model_version,
        "object_key": result.object_key,
    }


# As many threads as are asked for, not an array: Postgres keeps a plan of this, of that it makes one at each call.
_USUAL_LANGUAGES = text(
    "SELECT threads.id, spoken.language, count(*) FROM threads, LATERAL"
    " (SELECT t.language FROM transcripts t JOIN voices v ON v.transcript_id = t.id"
    " JOIN messages m ON m.id = v.message_id WHERE m.thread_id = threads.id AND t.state = 'completed'"
    " ORDER BY m.seq DESC LIMIT 30) AS spoken"
    " WHERE threads.id IN :thread_ids AND spoken.language <> '' GROUP BY threads.id, spoken.language"
).bindparams(bindparam("thread_ids", expanding=True, type_=Text))
_ADD_FINISHED = text(
    "INSERT INTO transcripts (id, message_id, requested_language, state, language, language_probability, confidence,"
    " text, word_times, model, model_version, object_key, finished_at, version) SELECT :id, :message_id,"
    " :requested_language, :state, :language, :language_probability, :confidence, :text, :word_times, :model,"
    " :model_version, :object_key, clock_timestamp(), coalesce(max(version), 0) + 1 FROM transcripts"
    " WHERE message_id = :message_id"
)
_STORED = tuple(transcripts.c[field.name] for field in fields(StoredTranscript))
