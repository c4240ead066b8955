"""The broker forgets everything, dies, is away or hangs while people send: it is only a doorbell."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import redis
from amqp.exceptions import NotFound
from kombu import Connection

from storage.jobs import QUEUES
from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.scale import OUTAGE_S, SEED, SPELL_S, share
from tests.faults.world import World

Fault = Callable[[World], None]


@pytest.fixture(scope="module")
def on_rabbitmq(tmp_path_factory: pytest.TempPathFactory, rabbitmq_url: str) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("rabbitmq"), broker_url=rabbitmq_url) as world:
        yield world


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


slow = pytest.mark.fault(25)


@pytest.mark.fault(8)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [flush, restart, away, hangs, pytest.param(forgotten, marks=slow)])
def test_redis(world: World, fault: Fault, tell: Callable[[Table], Table]) -> None:
    tell(_table(world, fault)).assert_whole()


@pytest.mark.fault(25)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [flush, away, hangs, forgotten])
def test_rabbitmq(on_rabbitmq: World, fault: Fault, tell: Callable[[Table], Table]) -> None:
    tell(_table(on_rabbitmq, fault)).assert_whole()
    on_rabbitmq.mend()


def _table(world: World, fault: Fault) -> Table:
    load = Load(world, share(5), over_s=OUTAGE_S if fault in (away, hangs) else SPELL_S, seed=SEED)
    fault(world)
    world.mend()
    told = load.finish()
    settle(world, told)
    assert not told.problems, "uploads don't need the broker"
    return check(world, told)


def _delete_queues(url: str) -> None:
    with Connection(url) as broker:
        for queue in QUEUES:
            with suppress(NotFound):
                broker.channel().queue_delete(queue)
