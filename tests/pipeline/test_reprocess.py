"""Runs over stored messages: what they queue, what becomes of each message, and everything that may come between."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import reprocess_view, revival, speech
from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.reaper import Reaper
from pipeline.reprocess_view import RunView
from storage import jobs, messages, runs, transcripts
from storage.errors import LeaseLost
from storage.jobs import Lane
from storage.messages import Message, StoredTranscript
from storage.runs import Filter, Plan, Survey, WrongState
from tests.pipeline.conftest import Upload, sql
from tests.stack import wait_until
from transcode import TranscodeSettings
from transcribe import Clip, Engine, Transcript
from transcribe.models import MICRO_PATH

Read = Callable[[str], Message]
EVERYTHING = Plan("transcribe", Filter(), None, None, "if-not-worse", None, None)


class Says:
    """An engine of a better model, which says what it is told to."""

    version = "2"

    def __init__(self, text: str, *, model: str = "better", language: str = "en", confidence: float = -0.001) -> None:
        self.model = model
        self._answer = Transcript(
            "completed" if text else "no_speech", language if text else None, 0.9, text, (), model, confidence
        )
        self.heard = 0

    def transcribe(self, clips: list[Clip], between: Callable[[], None] = lambda: None) -> list[Transcript]:
        self.heard += len(clips)
        return [self._answer for _ in clips]

    def close(self) -> None:
        pass


@pytest.fixture
def spoken_once(context: Context, upload: Upload) -> str:
    """One message in English, transcribed by micro."""
    message_id = upload("late.ogg")
    work(context)
    return message_id


@pytest.fixture
def spoken(context: Context, upload: Upload) -> list[str]:
    """Three messages, in English, German and Spanish, transcribed by micro."""
    sent = [upload(name) for name in ("meeting.m4a", "vertrag.mp3", "informe.flac")]
    work(context)
    return sent


def work(context: Context, engine: Engine | None = None) -> None:
    worker = Drain(context if engine is None else with_engine(context, engine), None)
    worker("media")
    worker("speech")


def with_engine(context: Context, engine: Engine) -> Context:
    other = replace(context)
    other.engine = engine
    return other


def begin(context: Context, plan: Plan = EVERYTHING) -> str:
    with context.database.transaction() as connection:
        return runs.create(connection, plan, Survey(3, 10_000, True), "root")[0]


def tick(context: Context) -> None:
    Reaper(context).reprocess()


def go_through(context: Context, run_id: str, engine: Engine | None = None) -> RunView:
    """Lets the run go on to its end, and tells what came of it."""
    for _ in range(20):
        tick(context)
        work(context, engine)
        view = seen(context, run_id)
        if view.state in ("completed", "reverted"):
            return view
    pytest.fail(f"the run does not end: {view}")


def seen(context: Context, run_id: str) -> RunView:
    with context.database.transaction() as connection:
        view = reprocess_view.read(connection, run_id)
    assert view is not None
    return view


def said(read: Read, message_id: str) -> StoredTranscript:
    voice = read(message_id).voice
    assert voice is not None
    assert voice.transcript is not None
    return voice.transcript


def events(context: Context) -> list[str]:
    return [row.type for row in sql(context, "SELECT type FROM events WHERE run_id IS NULL ORDER BY id")]


def found(context: Context, word: str) -> bool:
    return bool(sql(context, "SELECT 1 FROM search_entries WHERE body LIKE :word", word=f"%{word}%"))


def versions(context: Context, message_id: str) -> list[StoredTranscript]:
    with context.database.transaction() as connection:
        return transcripts.versions(connection, message_id)


def reasons(view: RunView) -> list[tuple[str, str, int]]:
    return [(each.outcome, each.reason, each.messages) for each in view.reasons]


def test_every_message_is_transcribed_again_and_the_old_texts_stay(
    context: Context, spoken: list[str], read: Read
) -> None:
    before = [said(read, message_id) for message_id in spoken]
    view = go_through(context, begin(context), Says("something better"))
    assert (view.state, view.total, view.done, view.changed, view.failed) == ("completed", 3, 3, 3, 0)
    after = [said(read, message_id) for message_id in spoken]
    assert [each.text for each in after] == ["something better"] * 3
    assert [each.version for each in after] == [each.version + 1 for each in before]
    assert {each.model for each in after} == {"better"}
    assert [versions(context, message_id)[-1] for message_id in spoken] == before
    assert found(context, "something better")
    assert view.words_changed >= 3 * 2
    assert sql(context, "SELECT * FROM intents") == []


def test_what_a_better_model_reads_the_same_is_no_news(context: Context, spoken_once: str, read: Read) -> None:
    before, told = said(read, spoken_once), events(context)
    same = Says(before.text or "", language=before.language or "")
    view = go_through(context, begin(context), same)
    assert (view.unchanged, view.changed) == (1, 0)
    assert said(read, spoken_once).model == "better"
    assert events(context) == told


def test_a_new_text_is_told_once_as_any_other(context: Context, spoken_once: str) -> None:
    told = events(context)
    go_through(context, begin(context), Says("something better"))
    assert events(context) == [*told, "transcript.completed"]


@pytest.mark.parametrize(
    ("policy", "answer", "verdict"),
    [
        ("if-not-worse", Says(""), ("refused", "blank_over_text", 1)),
        ("always", Says(""), ("refused", "blank_over_text", 1)),
        ("if-not-worse", Says("a guess", confidence=-2.0), ("refused", "less_confident", 1)),
        ("if-not-worse", Says("une idée", language="fr", confidence=-0.15), ("refused", "other_language", 1)),
    ],
)
def test_what_is_worse_does_not_take_the_place_of_what_is_there(
    context: Context, spoken_once: str, read: Read, policy: str, answer: Says, verdict: tuple[str, str, int]
) -> None:
    sql(context, "UPDATE transcripts SET confidence = 0.9")
    before, told = said(read, spoken_once), events(context)
    view = go_through(context, begin(context, replace(EVERYTHING, policy=policy)), answer)
    assert reasons(view) == [verdict]
    assert said(read, spoken_once) == before
    assert events(context) == told
    assert [each.model for each in versions(context, spoken_once)] == ["better", "micro"]


def test_policy_always_takes_a_text_of_less_confidence(context: Context, spoken_once: str, read: Read) -> None:
    sql(context, "UPDATE transcripts SET confidence = 0.9")
    view = go_through(context, begin(context, replace(EVERYTHING, policy="always")), Says("a guess", confidence=-2.0))
    assert (view.changed, said(read, spoken_once).text) == (1, "a guess")


def test_a_text_takes_the_place_of_none(context: Context, spoken_once: str, read: Read) -> None:
    sql(context, "UPDATE transcripts SET state = 'failed', text = NULL, error_code = 'x', confidence = NULL")
    view = go_through(context, begin(context), Says("so it was said", confidence=-3.0))
    assert (view.changed, said(read, spoken_once).text) == (1, "so it was said")


def correct(context: Context, message_id: str) -> None:
    with context.database.transaction() as connection:
        transcripts.correct(connection, message_id, thread_of(context, message_id), "my own words")


def transcribe_again(context: Context, message_id: str) -> None:
    """As a person does it: live, and active at once."""
    with context.database.transaction() as connection:
        transcript_id = transcripts.add_version(connection, message_id, language="en")
        jobs.add(connection, "speech", message_id, transcript_id=transcript_id)
    Drain(with_engine(context, Says("as the person wanted it", model="theirs")), Lane.LIVE)("speech")


def thread_of(context: Context, message_id: str) -> str:
    return str(sql(context, "SELECT thread_id FROM messages WHERE id = :id", id=message_id)[0].thread_id)


@pytest.mark.parametrize(
    ("meanwhile", "reason", "text"),
    [(correct, "corrected", None), (transcribe_again, "transcribed_again", "as the person wanted it")],
)
def test_what_a_person_has_done_meanwhile_stands(
    context: Context,
    spoken_once: str,
    read: Read,
    meanwhile: Callable[[Context, str], None],
    reason: str,
    text: str | None,
) -> None:
    before, run_id = said(read, spoken_once), begin(context)
    tick(context)
    meanwhile(context, spoken_once)
    view = go_through(context, run_id, Says("something better"))
    assert reasons(view) == [("left_alone", reason, 1)]
    assert said(read, spoken_once).text == (text or before.text)
    assert "better" not in [each.model for each in versions(context, spoken_once)]
    sql(context, "UPDATE intents SET expires_at = now() - interval '1 s'")
    Reaper(context).sweep_intents()
    assert sql(context, "SELECT * FROM intents") == []


def test_a_message_that_is_deleted_while_it_is_transcribed_again_is_gone(
    context: Context, spoken: list[str], objects: Callable[[str], set[str]]
) -> None:
    class Deletes(Says):
        def transcribe(self, clips: list[Clip], between: Callable[[], None] = lambda: None) -> list[Transcript]:
            with context.database.transaction() as connection:
                messages.remove(connection, spoken[1])
            return super().transcribe(clips, between)

    view = go_through(context, begin(context), Deletes("something better"))
    assert (view.done, view.changed, view.deleted) == (3, 2, 1)
    Reaper(context).tick()
    assert objects(spoken[1]) == set()


def test_a_worker_that_lost_its_lease_changes_nothing_and_is_counted_once(
    context: Context, spoken_once: str, read: Read
) -> None:
    run_id = begin(context)
    tick(context)
    with context.database.transaction() as connection:
        late = jobs.claim(connection, "speech", lane=None, limit=8, lease_s=3, worker="late")
    sql(context, "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 'running'")
    Reaper(context).take_back()
    view = go_through(context, run_id, Says("in time"))
    lost: list[Exception] = []
    speech.process(with_engine(context, Says("too late")), late, lambda _, error: lost.append(error))
    assert [type(error) for error in lost] == [LeaseLost]
    assert (view.done, view.changed) == (1, 1)
    assert seen(context, run_id).done == 1
    assert said(read, spoken_once).text == "in time"
    assert len(versions(context, spoken_once)) == 2


def test_a_paused_run_begins_nothing_and_goes_on_when_resumed(context: Context, spoken_once: str) -> None:
    run_id, engine = begin(context), Says("something better")
    tick(context)
    with context.database.transaction() as connection:
        runs.pause(connection, run_id)
    tick(context)
    work(context, engine)
    assert (seen(context, run_id).state, engine.heard) == ("paused", 0)
    with context.database.transaction() as connection:
        runs.resume(connection, run_id)
    assert go_through(context, run_id, engine).changed == 1


def test_a_cancelled_run_keeps_what_is_done_and_does_nothing_more(
    context: Context, spoken: list[str], read: Read
) -> None:
    class Cancels(Says):
        def transcribe(self, clips: list[Clip], between: Callable[[], None] = lambda: None) -> list[Transcript]:
            with context.database.transaction() as connection:
                runs.cancel(connection, run_id)
            return super().transcribe(clips, between)

    run_id = begin(context)
    tick(context)
    work(context, Cancels("something better"))
    tick(context)
    view = seen(context, run_id)
    assert (view.state, view.done, view.changed) == ("cancelled", 0, 0)
    assert "something better" not in [said(read, message_id).text for message_id in spoken]
    with context.database.transaction() as connection, pytest.raises(WrongState):
        runs.resume(connection, run_id)


def test_reverting_shows_what_was_there_unless_somebody_has_changed_it_since(
    context: Context, spoken: list[str], read: Read
) -> None:
    before = [said(read, message_id).text for message_id in spoken]
    run_id = begin(context)
    go_through(context, run_id, Says("something better"))
    transcribe_again(context, spoken[1])
    told = events(context)
    with context.database.transaction() as connection:
        runs.revert(connection, run_id)
    view = go_through(context, run_id)
    assert (view.state, view.reverted) == ("reverted", 2)
    texts = [said(read, message_id).text for message_id in spoken]
    assert texts == [before[0], "as the person wanted it", before[2]]
    assert events(context) == [*told, "transcript.completed", "transcript.completed"]
    assert not found(context, "something better")
    assert "better" in [each.model for each in versions(context, spoken[0])]


def test_reverting_leaves_alone_what_a_person_changes_at_that_moment(context: Context, spoken_once: str) -> None:
    run_id = begin(context)
    go_through(context, run_id, Says("something better"))
    with context.database.transaction() as connection:
        runs.revert(connection, run_id)
    with ThreadPoolExecutor(1) as reaper, context.database.transaction() as connection:
        transcripts.correct(connection, spoken_once, thread_of(context, spoken_once), "my own words")
        reverting = reaper.submit(go_through, context, run_id)
        wait_until(lambda: bool(sql(context, _SOMEBODY_WAITS)))
    assert reverting.result().reverted == 0
    [shown] = sql(context, "SELECT text FROM transcripts JOIN voices ON id = transcript_id")
    assert shown.text == "something better"


_SOMEBODY_WAITS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_speech_audio_that_was_let_go_is_made_of_the_original_again(context: Context, spoken_once: str) -> None:
    sql(context, "UPDATE voices SET speech_key = NULL")
    assert go_through(context, begin(context), Says("something better")).changed == 1


@pytest.mark.parametrize("kind", ["transcribe", "transcode"])
def test_where_no_audio_is_left_the_item_fails_and_the_message_stays(
    context: Context, spoken_once: str, read: Read, kind: str
) -> None:
    sql(context, "UPDATE voices SET speech_key = NULL, original_key = NULL")
    before = read(spoken_once)
    view = go_through(context, begin(context, replace(EVERYTHING, kind=kind)), Says("something better"))
    assert reasons(view) == [("failed", "audio_gone", 1)]
    assert read(spoken_once) == before


def test_a_job_that_was_given_up_and_is_revived_makes_its_failure_good(context: Context, spoken_once: str) -> None:
    class Fails(Says):
        def transcribe(self, clips: list[Clip], between: Callable[[], None] = lambda: None) -> list[Transcript]:
            raise RuntimeError("a bug")

    run_id = begin(context)
    sql(context, "ALTER TABLE jobs ALTER attempts SET DEFAULT 4")
    view = go_through(context, run_id, Fails("nothing"))
    assert reasons(view) == [("failed", "RuntimeError", 1)]
    with context.database.transaction() as connection:
        assert len(revival.revive(connection, None)) == 1
    work(context, Says("something better"))
    view = seen(context, run_id)
    assert (view.done, view.changed, view.failed) == (1, 1, 0)


def test_jobs_for_a_model_that_no_worker_has_wait_and_the_run_says_why(
    context: Context, spoken_once: str, read: Read
) -> None:
    run_id = begin(context, replace(EVERYTHING, model="large-v3"))
    tick(context)
    work(context)
    view = seen(context, run_id)
    assert (view.state, view.done) == ("running", 0)
    assert "earshot models fetch large-v3" in (view.problem or "")
    assert said(read, spoken_once).model == "micro"


def test_a_model_that_is_asked_for_by_its_folder_is_loaded(
    context: Context, spoken_once: str, read: Read, tmp_path: Path
) -> None:
    shutil.copytree(MICRO_PATH, tmp_path / "finer")
    sql(context, "UPDATE transcripts SET text = 'something quite different'")
    view = go_through(context, begin(context, replace(EVERYTHING, model=str(tmp_path / "finer"))))
    assert (view.changed, said(read, spoken_once).model) == (1, "finer")


def test_a_person_may_name_a_model_too(context: Context, spoken_once: str, read: Read, tmp_path: Path) -> None:
    shutil.copytree(MICRO_PATH, tmp_path / "finer")
    with context.database.transaction() as connection:
        model = str(tmp_path / "finer")
        transcript_id = transcripts.add_version(connection, spoken_once, language=None, model=model)
        jobs.add(connection, "speech", spoken_once, transcript_id=transcript_id)
    work(context)
    assert said(read, spoken_once).model == "finer"


def test_renditions_are_made_again_and_the_old_ones_play_until_no_link_to_them_is_valid(
    context: Context, spoken_once: str, read: Read
) -> None:
    before, told = read(spoken_once).voice, events(context)
    louder = replace(context.settings, transcode=TranscodeSettings(jail="weak", loudness_target_lufs=-20.0))
    view = go_through(replace(context, settings=louder), begin(context, replace(EVERYTHING, kind="transcode")))
    after = read(spoken_once).voice
    assert before is not None
    assert after is not None
    assert (view.changed, events(context)) == (1, told)
    old, new = ({each.object_key for each in voice.renditions} for voice in (before, after))
    assert old.isdisjoint(new)
    assert (after.transcript, after.speech_key, after.state) == (before.transcript, before.speech_key, "ready")
    Reaper(context).sweep_intents()
    assert {key for key in old | new if context.store.head(key)} == old | new
    sql(context, "UPDATE intents SET expires_at = now() - interval '1 s'")
    Reaper(context).sweep_intents()
    assert {key for key in old | new if context.store.head(key)} == new


def test_renditions_that_come_out_the_same_stay_what_they_are(context: Context, spoken_once: str, read: Read) -> None:
    before = read(spoken_once)
    view = go_through(context, begin(context, replace(EVERYTHING, kind="transcode")))
    assert (view.unchanged, view.changed) == (1, 0)
    assert read(spoken_once) == before
    assert sql(context, "SELECT * FROM intents") == []


def test_a_recording_that_a_stricter_rule_refuses_stays_as_it_is(
    context: Context, spoken_once: str, read: Read
) -> None:
    before = read(spoken_once)
    stricter = replace(context.settings, transcode=TranscodeSettings(jail="weak", min_duration_s=30))
    view = go_through(replace(context, settings=stricter), begin(context, replace(EVERYTHING, kind="transcode")))
    assert reasons(view) == [("failed", "too_short", 1)]
    assert read(spoken_once) == before


def test_a_run_waits_behind_what_people_send(context: Context, spoken_once: str, upload: Upload) -> None:
    begin(context)
    tick(context)
    live = upload("answer.webm")
    Drain(context, None)("media")
    with context.database.transaction() as connection:
        claimed = jobs.claim(connection, "speech", lane=None, limit=8, lease_s=3, worker="w")
    assert [job.message_id for job in claimed] == [live]


def test_runs_share_the_workers(context: Context, spoken: list[str]) -> None:
    first, second = begin(context), begin(context, replace(EVERYTHING, model="micro"))
    tick(context)
    with context.database.transaction() as connection:
        claimed = jobs.claim(connection, "speech", lane=None, limit=4, lease_s=3, worker="w")
    assert {job.run_id for job in claimed} == {first, second}
