"""From an accepted upload to a message that plays and reads, and every way in which a worker can lose it."""

import io
import time
import wave
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline import failures, media, publishing, speech
from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.reaper import Reaper
from storage import jobs, messages, transcripts
from storage.errors import LeaseLost
from storage.jobs import Job, Lane
from storage.messages import Message
from tests.pipeline.conftest import SAMPLES, Upload, sql
from tests.pipeline.faults import unreachable
from tests.transcode import attacks
from transcode import TranscodeFailed
from transcribe import Transcript

Read = Callable[[str], Message]
Objects = Callable[[str], set[str]]
EVERYTHING = {"original", "m4a", "opus", "speech", "transcript"}


def drain(context: Context) -> None:
    worker = Drain(context, None)
    worker("media")
    worker("speech")


def claim(context: Context, queue: jobs.Queue) -> Job:
    with context.database.transaction() as connection:
        [job] = jobs.claim(connection, queue, lane=None, limit=1, lease_s=3, worker="w")
    return job


def lose_the_lease(context: Context) -> None:
    sql(context, "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 'running'")
    Reaper(context).take_back()


def test_a_recording_becomes_a_message_that_plays_and_reads(
    context: Context, upload: Upload, read: Read, objects: Objects
) -> None:
    message_id = upload("meeting.m4a")
    drain(context)
    voice = read(message_id).voice
    assert voice is not None
    assert (voice.state, [made.format for made in voice.renditions]) == ("ready", ["m4a", "opus"])
    assert voice.transcript is not None
    assert (voice.transcript.state, voice.transcript.language) == ("completed", "en")
    assert "thursday" in (voice.transcript.text or "").lower()
    assert objects(message_id) == EVERYTHING
    assert sql(context, "SELECT * FROM intents") == []
    types = [row.type for row in sql(context, "SELECT type FROM events ORDER BY id")]
    assert types == ["message.created", "voice.ready", "transcript.completed"]


def test_the_stored_transcript_has_words_with_times(context: Context, upload: Upload, read: Read) -> None:
    message_id = upload("meeting.m4a")
    drain(context)
    stored = read(message_id).voice.transcript  # type: ignore[union-attr]
    assert stored is not None
    with context.store.get(stored.object_key or "") as body:
        transcript = Transcript.from_json(body.read())
    words = [word for segment in transcript.segments for word in segment.words]
    assert transcript.text == stored.text
    assert [word.start_ms for word in words] == sorted(word.start_ms for word in words)


def test_several_messages_are_transcribed_in_one_claim(context: Context, upload: Upload, read: Read) -> None:
    sent = [upload(name) for name in ("meeting.m4a", "vertrag.mp3", "informe.flac")]
    drain(context)
    transcripts = [read(message_id).voice.transcript for message_id in sent]  # type: ignore[union-attr]
    assert [transcript.language for transcript in transcripts if transcript] == ["en", "de", "es"]


def test_silence_is_ready_and_says_nothing(context: Context, upload: Upload, read: Read) -> None:
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * 16000 * 2))
    message_id = upload(recording.getvalue())
    drain(context)
    voice = read(message_id).voice
    assert voice is not None
    assert (voice.state, voice.duration_ms, voice.loudness_lufs) == ("ready", 2000, None)
    assert voice.transcript is not None
    assert (voice.transcript.state, voice.transcript.text) == ("no_speech", "")


def test_a_bad_file_is_rejected_with_a_code_and_the_next_message_is_served(
    context: Context, upload: Upload, read: Read
) -> None:
    bad = upload(b"OggS" + bytes(2000))
    good = upload("late.ogg")
    drain(context)
    rejected = read(bad).voice
    assert rejected is not None
    assert (rejected.state, rejected.transcript) == ("rejected", None)
    assert rejected.error_code in ("corrupt", "no_audio", "unsupported_format")
    assert rejected.error_message
    assert read(good).voice.state == "ready"  # type: ignore[union-attr]


def test_attacks_are_refused_at_the_first_try_and_the_next_message_is_served(
    context: Context, upload: Upload, read: Read, objects: Objects
) -> None:
    room = (SAMPLES / "room.m4a").read_bytes()
    codes = {
        upload(attacks.wav(bytes(200_000), rate=1)): {"unsupported_format", "decode_limit"},
        upload(attacks.wav(bytes(960_000), channels=60_000)): {"unsupported_format", "corrupt"},
        upload(attacks.wav(b"")): {"no_audio"},
        upload(attacks.endless_flac(8_000, 4_400)): {"too_long"},
        upload(attacks.encrypted(room)): {"unsupported_format", "corrupt"},
        upload(attacks.empty_mdat(room)): {"corrupt"},
        upload(bytes(5_000)): {"unsupported_format"},
    }
    good = upload("late.ogg")
    drain(context)
    for message_id, expected in codes.items():
        voice = read(message_id).voice
        assert voice is not None
        assert (voice.state, voice.error_code in expected) == ("rejected", True), voice.error_code
        assert objects(message_id) <= {"original"}
    assert read(good).voice.state == "ready"  # type: ignore[union-attr]
    tries = sql(context, "SELECT state, token, attempts, requeues FROM jobs WHERE queue = 'media'")
    assert {tuple(row) for row in tries} == {("done", 1, 0, 0)}


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(59.9, "ready"), (60.0, "ready"), (60.2, "ready"), (60.5, "too_long"), (0.2, "too_short")],
)
def test_a_minute_is_the_limit(context: Context, upload: Upload, read: Read, seconds: float, outcome: str) -> None:
    sound = attacks.wav(bytes(round(seconds * 16_000) * 2), rate=16_000)
    message_id = upload(sound)
    Drain(context, None)("media")
    voice = read(message_id).voice
    assert voice is not None
    assert (voice.error_code or voice.state) == outcome
    assert voice.duration_ms == (round(seconds * 1000) if outcome == "ready" else None)


@pytest.fixture
def _lease_lost_behind_the_first_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    real, late = publishing.patiently, iter([True])

    def lose_it_first(context: Context, step: Callable[[], None]) -> None:
        if next(late, False):
            lose_the_lease(context)
        real(context, step)

    monkeypatch.setattr(publishing, "patiently", lose_it_first)


@pytest.mark.usefixtures("_lease_lost_behind_the_first_puts")
def test_a_late_worker_can_not_finish_and_what_it_stored_is_still_whole(
    context: Context, upload: Upload, read: Read, objects: Objects
) -> None:
    message_id = upload("late.ogg")
    late = claim(context, "media")
    with pytest.raises(LeaseLost):
        media.process(context, late)
    drain(context)
    Reaper(context).sweep_intents()
    assert read(message_id).voice.state == "ready"  # type: ignore[union-attr]
    assert objects(message_id) == EVERYTHING


@pytest.mark.parametrize("queue", jobs.QUEUES)
def test_a_worker_that_was_stopped_behind_its_claim_undoes_nothing(
    context: Context, upload: Upload, read: Read, queue: jobs.Queue
) -> None:
    message_id = upload("late.ogg")
    if queue == "speech":
        Drain(context, None)("media")
    late = claim(context, queue)
    lost: list[Exception] = []
    lose_the_lease(context)
    drain(context)
    if queue == "media":
        with pytest.raises(LeaseLost):
            media.process(context, late)
    else:
        speech.process(context, [late], lambda job, error: lost.append(error))
        assert [type(error) for error in lost] == [LeaseLost]
    voice = read(message_id).voice
    assert voice is not None
    assert voice.transcript is not None
    assert (voice.state, voice.transcript.state) == ("ready", "completed")


def test_a_worker_that_lost_its_lease_stores_nothing(
    context: Context, upload: Upload, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = upload("late.ogg")
    real = media._transcode
    monkeypatch.setattr(media, "_transcode", lambda *given: (real(*given), lose_the_lease(context))[0])
    with pytest.raises(LeaseLost):
        media.process(context, claim(context, "media"))
    assert objects(message_id) == {"original"}


@pytest.mark.usefixtures("_lease_lost_behind_the_first_puts")
def test_what_a_dead_worker_had_stored_is_swept(context: Context, upload: Upload, objects: Objects) -> None:
    message_id = upload("late.ogg")
    late = claim(context, "media")
    with pytest.raises(LeaseLost):
        media.process(context, late)
    assert objects(message_id) == {"original", "m4a", "opus", "speech"}
    Reaper(context).sweep_intents()
    assert objects(message_id) == {"original"}


def test_nothing_remains_of_a_message_deleted_while_it_is_processed(
    context: Context, upload: Upload, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = upload("late.ogg")
    real = media._transcode

    def delete_meanwhile(*arguments):  # type: ignore[no-untyped-def]
        made = real(*arguments)
        with context.database.transaction() as connection:
            assert messages.remove(connection, message_id)
        Reaper(context).erase()
        return made

    monkeypatch.setattr(media, "_transcode", delete_meanwhile)
    Drain(context, None)("media")
    Reaper(context).tick()
    assert objects(message_id) == set()
    assert sql(context, "SELECT 1 FROM voices") == []
    assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["cancelled"]


def test_an_outage_of_the_store_is_not_the_jobs_fault(context: Context, upload: Upload, read: Read) -> None:
    message_id = upload("late.ogg")
    away = unreachable(context)
    job = claim(context, "media")
    try:
        media.process(away, job)
    except Exception as error:
        failures.settle(context, job, error)
    [row] = sql(context, "SELECT state, attempts, requeues, reason FROM jobs")
    assert (row.state, row.attempts, row.requeues) == ("queued", 0, 1)
    assert "StorageUnavailable" in row.reason
    sql(context, "UPDATE jobs SET run_after = now()")
    drain(context)
    assert read(message_id).voice.state == "ready"  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), TranscodeFailed("the encoder gives up")])
def test_a_job_that_keeps_failing_is_given_up_and_told(
    error: Exception, context: Context, upload: Upload, read: Read
) -> None:
    message_id = upload("late.ogg")
    for _ in range(jobs.MAX_FAILURES):
        sql(context, "UPDATE jobs SET run_after = now()")
        failures.settle(context, claim(context, "media"), error)
    voice = read(message_id).voice
    assert voice is not None
    assert (voice.state, voice.error_code, voice.transcript) == ("failed", "processing_failed", None)


def test_a_language_that_the_model_does_not_know_is_told_with_what_to_do(
    context: Context, upload: Upload, read: Read
) -> None:
    message_id = upload("late.ogg", language="xx")
    drain(context)
    voice = read(message_id).voice
    assert voice is not None
    assert voice.transcript is not None
    assert (voice.state, voice.transcript.state, voice.transcript.error_code) == ("ready", "failed", "unknown_language")
    assert "such as en, de, es, or none to detect it" in (voice.transcript.error_message or "")
    assert [row.attempts for row in sql(context, "SELECT attempts FROM jobs WHERE queue = 'speech'")] == [1]


def test_a_model_that_a_person_asks_for_in_vain_is_told_in_the_end(
    context: Context, upload: Upload, read: Read
) -> None:
    message_id = upload("late.ogg")
    drain(context)
    with context.database.transaction() as connection:
        version = transcripts.add_version(connection, message_id, language=None, model="large-v3")
        jobs.add(connection, "speech", message_id, transcript_id=version)
    for _ in range(jobs.MAX_FAILURES):
        sql(context, "UPDATE jobs SET run_after = now()")
        drain(context)
    with context.database.transaction() as connection:
        asked = transcripts.get(connection, message_id, version)
    assert asked is not None
    assert (asked.state, asked.error_code) == ("failed", "model_missing")
    assert asked.error_message == "The model that was asked for is not available."
    voice = read(message_id).voice
    assert voice is not None
    assert voice.transcript is not None
    assert (voice.transcript.state, voice.transcript.version) == ("completed", 1)


def test_the_end_of_a_lost_claim_does_not_end_the_next_one_of_the_same_process(
    context: Context, upload: Upload
) -> None:
    upload("late.ogg")
    first = claim(context, "media")
    with ExitStack() as lost:
        lost.enter_context(context.leases.holding([first]))
        lose_the_lease(context)
        with context.leases.holding([claim(context, "media")]):
            lost.close()
            time.sleep(context.leases.lease_s + 0.5)
            query = "SELECT lease_until > clock_timestamp() AS lives FROM jobs"
            assert [row.lives for row in sql(context, query)] == [True]


def test_a_stopping_worker_hands_its_jobs_back(context: Context, upload: Upload, read: Read) -> None:
    message_id = upload("late.ogg")
    job = claim(context, "media")
    failures.hand_back(context, job)
    [row] = sql(context, "SELECT state, requeues FROM jobs")
    assert (row.state, row.requeues) == ("queued", 0)
    drain(context)
    assert read(message_id).voice.state == "ready"  # type: ignore[union-attr]


@pytest.mark.parametrize("lane", Lane)
def test_a_worker_that_is_stopped_in_the_middle_of_a_batch_hands_it_back(
    context: Context, upload: Upload, read: Read, monkeypatch: pytest.MonkeyPatch, lane: Lane
) -> None:
    sent = [upload(name, lane=lane) for name in ("late.ogg", "answer.webm")]
    Drain(context, None)("media")
    Drain(context, None)("media")
    real = speech.clip_of
    monkeypatch.setattr(speech, "clip_of", lambda *given: (real(*given), context.stopping.set())[0])
    monkeypatch.setattr("pipeline.context.FINISH_S", 0)
    Drain(context, None)("speech")
    context.stopping.clear()
    context._stopped_at = None
    left = sql(context, "SELECT state, requeues, attempts, alone FROM jobs WHERE queue = 'speech'")
    assert [tuple(row) for row in left] == [("queued", 0, 0, False)] * 2
    monkeypatch.undo()
    drain(context)
    assert [read(message).voice.transcript.state for message in sent] == ["completed"] * 2  # type: ignore[union-attr]


def test_one_lost_transcript_harms_no_other(context: Context, upload: Upload, read: Read) -> None:
    lost, kept = upload("late.ogg"), upload("answer.webm")
    Drain(context, None)("media")
    with context.database.transaction() as connection:
        claimed = jobs.claim(connection, "speech", lane=None, limit=8, lease_s=3, worker="w")
        messages.remove(connection, lost)
    outcome: list[Exception] = []
    speech.process(context, claimed, lambda job, error: outcome.append(error))
    assert [type(error) for error in outcome] in ([], [LeaseLost])
    assert read(kept).voice.transcript.state == "completed"  # type: ignore[union-attr]


def test_a_live_message_overtakes_a_batch_that_is_being_transcribed(
    context: Context, upload: Upload, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [upload(name, lane=Lane.BATCH) for name in ("meeting.m4a", "vertrag.mp3")]
    Drain(context, None)("media")
    live: list[str] = []
    finished: list[str] = []
    real = speech._commit

    def note(context: Context, made: speech.Made) -> None:
        finished.append(made.job.message_id)
        real(context, made)

    def arrive(item: str = "late.ogg") -> None:
        if not live:
            live.append(upload(item))
            Drain(context, Lane.LIVE)("media")

    drain, let_pass = Drain(context, None), Drain._let_live_pass
    monkeypatch.setattr(speech, "_commit", note)
    monkeypatch.setattr(Drain, "_let_live_pass", lambda self: (arrive(), let_pass(self))[1])
    drain("speech")
    assert finished[0] == live[0]
    assert set(finished) == {*live, *batch}
    assert read(live[0]).voice.transcript.state == "completed"  # type: ignore[union-attr]


def test_live_messages_pass_while_recordings_are_fetched_for_a_batch(
    context: Context, upload: Upload, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [upload(name, lane=Lane.BATCH) for name in ("meeting.m4a", "vertrag.mp3", "informe.flac")]
    Drain(context, None)("media")
    # Without it, each original is decoded again.
    sql(context, "UPDATE voices SET speech_key = NULL")
    with context.database.transaction() as connection:
        claimed = jobs.claim(connection, "speech", lane=None, limit=8, lease_s=30, worker="w")
    passed: list[str] = []
    real = speech._transcribe

    def note(*arguments: Any) -> Any:
        passed.append("the engine begins")
        return real(*arguments)

    monkeypatch.setattr(speech, "_transcribe", note)
    failed: list[Exception] = []
    speech.process(context, claimed, lambda _, error: failed.append(error), lambda: passed.append("live"))
    assert passed[0] == "live"
    assert failed == []
    assert all(read(item).voice.transcript.state == "completed" for item in batch)  # type: ignore[union-attr]
