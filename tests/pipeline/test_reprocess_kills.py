"""`kill -9` of walkers and workers in the middle of a run, as processes of their own: nothing twice, nothing lost."""

import os
import signal
import time

import pytest
import redis

from pipeline import reprocess_view
from pipeline.context import Context
from pipeline.draining import Drain
from storage import runs
from storage.runs import Filter, Plan, Survey
from tests.pipeline.conftest import Start, Upload, sql
from tests.stack import wait_until

MESSAGES = 12


@pytest.fixture(autouse=True)
def _quiet_broker(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as broker:
        broker.flushall()


def test_a_run_survives_the_death_of_its_walker_and_its_workers(context: Context, start: Start, upload: Upload) -> None:
    sent = [upload("late.ogg") for _ in range(MESSAGES)]
    for queue in ("media", "speech"):
        Drain(context, None)(queue)
    plan = Plan("transcribe", Filter(), "micro", None, "if-not-worse", rate_limit=4.0, at_most=None)
    with context.database.transaction() as connection:
        run_id, _ = runs.create(connection, plan, Survey(MESSAGES, 0, True), "root")

    def done() -> int:
        with context.database.transaction() as connection:
            view = reprocess_view.read(connection, run_id)
        assert view is not None
        return view.done

    walkers = [start("reaper"), start("reaper")]
    worker = start("worker", "--queues", "speech", "--lane", "batch")
    for goal in (1, 5):
        wait_until(lambda: done() >= goal, worker)  # noqa: B023 - awaited here
        for victim in (walkers.pop(0), worker):
            os.kill(victim.pid, signal.SIGKILL)
        walkers.append(start("reaper"))
        worker = start("worker", "--queues", "speech", "--lane", "batch")
        time.sleep(0.5)
    wait_until(lambda: [row.state for row in sql(context, "SELECT state FROM runs")] == ["completed"], worker)
    counts = sql(context, "SELECT message_id, count(*) AS versions FROM transcripts GROUP BY message_id")
    assert {row.message_id: row.versions for row in counts} == dict.fromkeys(sent, 2)
    assert done() == MESSAGES
    jobs = sql(context, "SELECT message_id, state FROM jobs WHERE run_id = :id", id=run_id)
    assert sorted((row.message_id, row.state) for row in jobs) == [(each, "done") for each in sorted(sent)]
