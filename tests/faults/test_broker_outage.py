"""The broker forgets everything, dies, is away or hangs while people send: it is only a doorbell."""

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import product

import pytest
import redis
from amqp.exceptions import NotFound
from kombu import Connection

from pipeline.celery_app import bell
from storage.jobs import QUEUES, Lane
from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.scale import OUTAGE_S, SEED, SPELL_S, both_brokers, share
from tests.faults.world import World

Fault = Callable[[World], None]


def flush(world: World) -> None:
    """All that it holds is gone, again and again."""
    for _ in range(5):
        if world.redis is None:
            _delete_queues(world.broker_url)
        else:
            with redis.Redis.from_url(world.broker_url) as broker:
                broker.flushall()
        time.sleep(SPELL_S / 15)


def restart(world: World) -> None:
    world.restart_broker()


def away(world: World) -> None:
    world.broker.refuse()
    time.sleep(OUTAGE_S)


def hangs(world: World) -> None:
    world.broker.stall()
    time.sleep(OUTAGE_S)


def forgotten(world: World) -> None:
    """Who was connected hears nothing more, and is not told so."""
    world.broker.forget()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [flush, restart, away, hangs, pytest.param(forgotten, marks=pytest.mark.fault(25))])
@both_brokers
def test_messages_survive_whatever_the_broker_does(world: World, fault: Fault, tell: Callable[[Table], Table]) -> None:
    load = Load(world, share(5), over_s=OUTAGE_S if fault in (away, hangs) else SPELL_S, seed=SEED)
    fault(world)
    world.mend()
    told = load.finish()
    settle(world, told)
    assert not told.problems, "uploads don't need the broker"
    tell(check(world, told)).assert_whole()


def _delete_queues(url: str) -> None:
    with Connection(url) as broker:
        for queue, lane in product(QUEUES, Lane):
            with suppress(NotFound):
                broker.channel().queue_delete(bell(queue, lane))
