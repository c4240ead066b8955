"""A worker around which everything fails does not take the messages of those that could do them."""

from collections.abc import Callable

from pipeline.context import Context
from pipeline.draining import Drain, Rest
from storage import jobs, transcripts
from storage.jobs import Lane
from storage.messages import Message
from tests.pipeline.conftest import Upload, sql
from tests.pipeline.faults import unreachable


def test_a_worker_around_which_all_fails_leaves_the_rest_to_its_colleagues(
    context: Context, upload: Upload, read: Callable[[str], Message]
) -> None:
    for _ in range(4):
        upload("meeting.m4a")
    Drain(unreachable(context), None)("media")
    tried = sql(context, "SELECT message_id, state, requeues FROM jobs ORDER BY requeues DESC")
    assert [(row.state, row.requeues) for row in tried] == [("queued", 1), ("queued", 1), ("queued", 0), ("queued", 0)]
    Drain(context, None)("media")
    assert [read(row.message_id).voice.state for row in tried[2:]] == ["ready", "ready"]  # type: ignore[union-attr]


def test_a_model_that_the_worker_does_not_have_keeps_no_other_messages_waiting(
    context: Context, upload: Upload
) -> None:
    messages = [upload("late.ogg") for _ in range(3)]
    Drain(context, None)("media")
    Drain(context, None)("speech")
    with context.database.transaction() as connection:
        for message in messages:
            transcript_id = transcripts.add_version(connection, message, language=None, model="large-v3")
            jobs.add(connection, "speech", message, transcript_id=transcript_id, lane=Lane.BATCH)
    # Each is a claim of its own.
    sql(context, "UPDATE jobs SET alone = true WHERE state = 'queued'")
    Drain(context, None)("speech")
    # Each was tried, and counted: a person asked for it, not a run.
    tried = sql(context, "SELECT attempts, reason FROM jobs WHERE state = 'queued'")
    assert [row.attempts for row in tried] == [1, 1, 1]
    assert all(row.reason.startswith("ModelError") for row in tried)


def test_a_worker_is_well_again_with_what_it_gets_done() -> None:
    rest = Rest()
    for failed in (["a"], [], ["b"]):
        rest.note(failed)
    assert rest.is_over()
    rest.note(["c"])
    assert not rest.is_over()


def test_one_job_that_always_fails_says_nothing_about_the_worker() -> None:
    rest = Rest()
    for _ in range(9):
        rest.note(["a"])
    assert rest.is_over()
    rest.note(["b"])
    assert not rest.is_over()


def test_a_rest_has_an_end_however_long_the_outage() -> None:
    rest = Rest()
    for number in range(2_000):
        rest.note([f"job_{number}"])
    assert rest._pause_s == 10
