"""A worker that stands still for longer than its lease: what it does when it goes on again is refused."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.embedded.process import Process
from tests.faults.checker import Table, check, orphans, settle
from tests.faults.load import Load
from tests.faults.moments import Moment, after_claim, after_put, before_commit, drop_all
from tests.faults.scale import SEED
from tests.faults.world import World
from tests.stack import wait_until


@contextmanager
def colleague(world: World, queue: str, log: Path, **settings: str) -> Iterator[Process]:
    """One more worker of the same product."""
    argv = [sys.executable, "-P", "-m", "pipeline", "worker", "--queues", queue]
    process = Process(argv, log=log, env={**world.info.environment, **settings})
    try:
        yield process
    finally:
        process.ask_to_stop()
        process.end(patience_s=20)


GIVEN_UP = "SELECT count(*) FROM intents WHERE message_id = ANY(:messages)"
CASES = [
    ("media", after_claim),
    ("media", after_put),
    ("media", before_commit),
    ("speech", after_claim),
    ("speech", after_put),
    ("speech", before_commit),
]


@pytest.mark.fault(18)
@pytest.mark.parametrize(("queue", "moment"), CASES, ids=[f"{queue}-{moment.__name__}" for queue, moment in CASES])
def test_stalled(world: World, queue: str, moment: Moment, tmp_path: Path, tell: Callable[[Table], Table]) -> None:
    pid = world.pid(queue)
    load = Load(world, 1, over_s=0, seed=SEED + 50)
    moment(world, pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        drop_all(world)
        world.mend()
        told = load.finish()
        with colleague(world, queue, tmp_path / "colleague.log"):
            settle(world, told)
            before = world.log(queue)
            os.kill(pid, signal.SIGCONT)
            wait_until(lambda: "thrown away" in world.log(queue).removeprefix(before))
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: world.sql(GIVEN_UP, messages=list(told.accepted))[0][0] == 0)
    assert not orphans(world)
    tell(check(world, told)).assert_whole()
