"""The whole product stopped and started again and again while people send: nothing is lost or given up."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.scale import FULL, MESSAGES, SEED
from tests.faults.world import World

TIMES = 20 if FULL else 2


@pytest.fixture
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("restarted"), EARSHOT_LEASE_S="30") as world:
        yield world


@pytest.mark.fault(30)
@pytest.mark.timeout(1200)
def test_stopped_and_started(own_world: World, tell: Callable[[Table], Table]) -> None:
    chance = random.Random(SEED)
    load = Load(own_world, MESSAGES, over_s=TIMES * 4, seed=SEED + 90)
    for _ in range(TIMES):
        time.sleep(chance.uniform(0.2, 3))
        own_world.stop()
        own_world.start()
    told = load.finish()
    settle(own_world, told)
    assert own_world.sql("SELECT count(*) FROM jobs WHERE state = 'dead'")[0][0] == 0
    # Who stops in an orderly way finishes its jobs or hands them back; no lease has to run out.
    assert own_world.sql("SELECT count(*) FROM jobs WHERE alone")[0][0] == 0
    tell(check(own_world, told)).assert_whole()
