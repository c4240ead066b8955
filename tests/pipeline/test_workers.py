"""Worker and reaper as processes of their own, on a broker that forgets."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from kombu import Connection

from pipeline.context import Context
from pipeline.embedded.ports import free_port
from pipeline.rings import Ringer
from storage.jobs import QUEUES, Lane
from storage.messages import Message
from tests.pipeline.conftest import Start, Upload, sql
from tests.stack import wait_until

Read = Callable[[str], Message]


def transcribed(read: Read, message_id: str) -> Callable[[], bool]:
    def done() -> bool:
        voice = read(message_id).voice
        return voice is not None and voice.transcript is not None and voice.transcript.state == "completed"

    return done


@pytest.fixture(autouse=True)
def _quiet_broker(redis_url: str) -> None:
    """The broker is shared: rings of another test must not be heard here."""
    with redis.Redis.from_url(redis_url) as broker:
        broker.flushall()


def test_a_worker_hears_a_ring_and_takes_the_message_all_the_way(
    context: Context, start: Start, upload: Upload, read: Read
) -> None:
    worker = start("worker", "--queues", "media,speech")
    message_id = upload("late.ogg")
    context.ringer.ring("media")
    wait_until(transcribed(read, message_id), worker)
    worker.ask_to_stop()
    assert worker.wait(20) == 0


def test_what_came_while_the_broker_forgot_everything_is_rung_for_by_the_reaper(
    context: Context, start: Start, upload: Upload, read: Read, redis_url: str
) -> None:
    worker = start("worker", "--queues", "media,speech")
    first = upload("late.ogg")
    context.ringer.ring("media")
    wait_until(transcribed(read, first), worker)
    second = upload("answer.webm")
    context.ringer.ring("media")
    with redis.Redis.from_url(redis_url) as broker:
        broker.flushall()
    start("reaper")
    wait_until(transcribed(read, second), worker)


def test_a_ring_is_not_heard_by_workers_of_the_other_lane(
    context: Context, start: Start, upload: Upload, read: Read, redis_url: str
) -> None:
    worker = start("worker", "--queues", "media,speech", "--lane", "batch")
    with redis.Redis.from_url(redis_url) as broker:
        for _ in range(2):
            context.ringer.ring("media")
            wait_until(lambda: broker.llen("media") == 1, worker)
            message_id = upload("late.ogg")
            sql(context, "UPDATE jobs SET lane = :batch", batch=int(Lane.BATCH))
            context.ringer.ring("media", Lane.BATCH)
            wait_until(transcribed(read, message_id), worker)
            assert broker.llen("media") == 1
            broker.delete("media")


def test_without_any_broker_messages_take_longer_and_arrive(
    context: Context, start: Start, upload: Upload, read: Read
) -> None:
    worker = start("worker", "--queues", "media,speech", EARSHOT_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    message_id = upload("late.ogg")
    wait_until(transcribed(read, message_id), worker)
    worker.ask_to_stop()
    assert worker.wait(20) == 0


def test_a_killed_workers_job_is_done_by_the_next_and_its_copy_of_the_voice_is_removed(
    context: Context, start: Start, upload: Upload, read: Read, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    message_id = upload("meeting.m4a")
    killed = start("worker", "--queues", "media", TMPDIR=str(temporary))
    wait_until(lambda: list(temporary.glob("*/original")) != [], killed)
    os.kill(killed.pid, signal.SIGKILL)
    assert list(temporary.glob("*/original"))
    start("reaper")
    worker = start("worker", "--queues", "media,speech", TMPDIR=str(temporary))
    wait_until(transcribed(read, message_id), worker)
    assert not list(temporary.glob("*/original"))
    assert [row.count for row in sql(context, "SELECT count(*) AS count FROM jobs WHERE state <> 'done'")] == [0]


def test_no_image_of_a_workers_memory_stays_when_it_crashes(context: Context, start: Start, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        worker = start("worker", "--queues", "media")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    wait_until(lambda: "ready" in worker.last_words(), worker)
    assert resource.prlimit(worker.pid, resource.RLIMIT_CORE) == (0, hard)


def test_a_worker_of_an_unknown_queue_says_which_there_are(start: Start) -> None:
    worker = start("worker", "--queues", "media,post")
    assert worker.wait(60) == 2
    assert all(queue in worker.last_words() for queue in QUEUES)


def test_a_missing_setting_is_named(start: Start) -> None:
    worker = start("worker", EARSHOT_DATABASE_URL="")
    assert worker.wait(60) == 1
    assert "EARSHOT_DATABASE_URL" in worker.last_words()


def test_ringing_never_waits_for_a_broker_that_is_away() -> None:
    ringer = Ringer(f"redis://127.0.0.1:{free_port()}/0")
    for _ in range(1000):
        ringer.ring("media")
    ringer.close(timeout_s=5)
    with pytest.raises(Exception, match=r"refused|Error"):
        ringer.ping()


def test_rabbitmq_with_quorum_queues_rings_as_well(
    context: Context, start: Start, upload: Upload, read: Read, rabbitmq_url: str
) -> None:
    ringer = Ringer(rabbitmq_url)
    ringer.ping()
    worker = start("worker", "--queues", "media,speech", EARSHOT_BROKER_URL=rabbitmq_url)
    message_id = upload("late.ogg")
    ringer.ring("media")
    wait_until(transcribed(read, message_id), worker)
    ringer.close()
    worker.ask_to_stop()
    assert worker.wait(20) == 0


def test_nobody_hears_and_rabbitmq_does_not_fill(rabbitmq_url: str) -> None:
    ringer = Ringer(rabbitmq_url)
    for _ in range(200):
        ringer.ring("media")
        time.sleep(0.005)
    ringer.close()
    with Connection(rabbitmq_url) as broker:
        waiting = broker.channel().queue_declare("media", passive=True).message_count
    assert 0 < waiting <= 65
