"""The broker forgets everything, dies, is away or hangs while people send: it is only a doorbell."""

import time
from collections.abc import Callable

import pytest
import redis

from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.scale import OUTAGE_S, SEED, share
from tests.faults.world import World


def flush(world: World) -> None:
    with redis.Redis.from_url(world.broker_url) as broker:
        for _ in range(5):
            broker.flushall()
            time.sleep(OUTAGE_S / 15)


def restart(world: World) -> None:
    assert world.redis is not None
    world.redis.restart()


def away(world: World) -> None:
    world.broker.refuse()
    time.sleep(OUTAGE_S)


def hangs(world: World) -> None:
    world.broker.stall()
    time.sleep(OUTAGE_S)


def forgotten(world: World) -> None:
    """Who was connected hears nothing more, and is not told so."""
    world.broker.forget()


@pytest.mark.fault(8)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [flush, restart, away, hangs, forgotten])
def test_messages_are_taken_and_finished_whatever_the_broker_does(
    world: World, fault: Callable[[World], None], tell: Callable[[Table], Table]
) -> None:
    load = Load(world, share(4), over_s=OUTAGE_S, seed=SEED)
    fault(world)
    world.mend()
    told = load.finish()
    settle(world, told)
    assert not told.problems, "uploads don't need the broker"
    tell(check(world, told)).assert_whole()
