"""Runs over stored messages: what they queue, what becomes of each message, and everything that may come between."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline import reprocess_view, speech
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
from transcribe import Clip, Engine, Transcript

Read = Callable[[str], Message]
EVERYTHING = Plan("transcribe", Filter(), None, None, "if-not-worse", None, None)


class Says:
    """An engine of a better model, which says what it is told to."""

    version = "2"

    def __init__(self, text: str, *, model: str = "better", language: str = "en", confidence: float = -0.1) -> None:
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


def test_every_message_is_transcribed_again_and_the_run_says_so(
    context: Context, spoken: list[str], read: Read
) -> None:
    before = [said(read, message_id) for message_id in spoken]
    view = go_through(context, begin(context), Says("something better"))
    assert (view.total, view.done, view.changed, view.failed) == (3, 3, 3, 0)
    after = [said(read, message_id) for message_id in spoken]
    assert [each.text for each in after] == ["something better"] * 3
    assert [each.version for each in after] == [each.version + 1 for each in before]
    assert {each.model for each in after} == {"better"}
