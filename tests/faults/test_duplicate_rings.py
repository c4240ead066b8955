"""Every ring is delivered twice: nobody sees a difference."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from pipeline.celery_app import bell
from storage.jobs import QUEUES, Lane
from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.moments import BASIC_PUBLISH
from tests.faults.scale import MESSAGES, SEED
from tests.faults.world import World

BELLS = {bell(queue, lane) for queue in QUEUES for lane in Lane}


@pytest.mark.fault(8)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", ["redis"], indirect=True)
def test_every_ring_twice(world: World, tell: Callable[[Table], Table]) -> None:
    with doubling(world.broker_url) as doubled:
        told = Load(world, MESSAGES, over_s=2, seed=SEED + 60).finish()
        settle(world, told)
    assert doubled
    tell(check(world, told)).assert_whole()


@pytest.mark.fault(25)
@pytest.mark.timeout(600)
def test_every_ring_twice_on_rabbitmq(on_rabbitmq: World, tell: Callable[[Table], Table]) -> None:
    on_rabbitmq.broker.double(BASIC_PUBLISH)
    told = Load(on_rabbitmq, MESSAGES, over_s=2, seed=SEED + 60).finish()
    settle(on_rabbitmq, told)
    assert on_rabbitmq.broker.doubled
    on_rabbitmq.mend()
    tell(check(on_rabbitmq, told)).assert_whole()


@contextmanager
def doubling(url: str) -> Iterator[set[str]]:
    """Watches the broker and puts each ring that it gets there once more; gives the rings that it has doubled."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        with redis.Redis.from_url(url) as broker, broker.monitor() as monitor:
            while not stop.is_set():
                verb, _, rest = monitor.next_command()["command"].partition(" ")
                queue, _, ring = rest.partition(" ")
                if verb == "LPUSH" and queue in BELLS and ring not in seen:
                    seen.add(ring)
                    with redis.Redis.from_url(url) as again:
                        again.lpush(queue, ring)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        with redis.Redis.from_url(url) as broker:
            broker.ping()
        watcher.join()
