"""`kill -9` of each part, at named moments and at random ones, while people send: what was accepted arrives, once."""

import hashlib
import random
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.checker import Table, check, settle
from tests.faults.load import PATIENCE_S, Load, Sender, Told, recording
from tests.faults.moments import (
    Moment,
    after_claim,
    after_commit,
    after_message,
    after_put,
    any_commit,
    before_ack,
    before_commit,
    before_message,
    drop_all,
    mid_ffmpeg,
)
from tests.faults.scale import MESSAGES, SEED, share
from tests.faults.world import World
from tests.stack import wait_until

PARTS = ("media", "speech", "api", "reaper")
MOMENTS = [
    ("media", after_claim),
    ("media", mid_ffmpeg),
    ("media", after_put),
    ("media", before_commit),
    ("media", after_commit),
    ("media", before_ack),
    ("speech", after_claim),
    ("speech", after_put),
    ("speech", before_commit),
    ("speech", after_commit),
    ("speech", before_ack),
    ("api", after_put),
    ("api", before_message),
    ("api", after_message),
    ("reaper", any_commit),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("part", "moment"),
    # The key of an upload that took long stays locked for 20 s when its API was killed.
    [pytest.param(*each, marks=pytest.mark.fault(25 if each[0] == "api" else 8)) for each in MOMENTS],
    ids=[f"{part}-{moment.__name__}" for part, moment in MOMENTS],
)
def test_killed(world: World, part: str, moment: Moment, tell: Callable[[Table], Table]) -> None:
    pid = running(world, part)
    load = Load(world, share(len(MOMENTS)), over_s=2, seed=SEED + 30)
    moment(world, pid)
    kill(world, part)
    told = load.finish()
    settle(world, told)
    tell(check(world, told)).assert_whole()


@pytest.mark.fault(5)
def test_killed_mid_patch(world: World, tell: Callable[[Table], Table]) -> None:
    told, body = Told(), recording(SEED)
    with Sender(world.url, world.token("alice"), told) as sender:
        upload = sender.begin(sender.thread(), body)
        with sender.begin_a_piece(upload, body):
            kill(world, "api")
        sender.complete(upload, body)
    settle(world, told)
    tell(check(world, told)).assert_whole()


@pytest.mark.fault(25)
@pytest.mark.parametrize("moment", [before_commit, after_commit])
def test_killed_with_the_last_piece(world: World, moment: Moment, tell: Callable[[Table], Table]) -> None:
    told, pid = Told(), running(world, "api")
    with Sender(world.url, world.token("alice"), told) as sender, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.send_resumable, sender.thread(), recording(SEED))
        moment(world, pid)
        kill(world, "api")
        sending.result()
    settle(world, told)
    tell(check(world, told)).assert_whole()


@pytest.mark.fault(10)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("at", ["behind the put", "before the message"])
def test_killed_with_a_recording_that_has_no_key(world: World, at: str, tell: Callable[[Table], Table]) -> None:
    """Its original is there by a slot, of which no row tells more: it goes, and the same recording comes again."""
    # Who repeated something puts by no slot for a minute; a new process knows nothing of that.
    told, body, pid = Told(), recording(SEED * 100 + len(at)), restarted(world, "api")
    stored = world.s3.proxy.trap(re.compile(rb"^PUT /\S+/original/"), pid=pid, reply=True)
    message = world.postgres.proxy.trap(b"/original/", pid=pid)
    with Sender(world.url, world.token("alice"), told) as sender, ThreadPoolExecutor(1) as pool:
        thread = sender.thread()
        sending = pool.submit(sender.try_once, thread, body)
        wait_until(stored.caught.is_set)
        if at == "before the message":
            stored.release()
            wait_until(message.caught.is_set)
        before = {found.key for found in world.store.list("") if hashlib.sha256(body).hexdigest() in found.key}
        kill(world, "api")
        assert sending.result() is None
        sender.send(thread, body)
    assert len(before) == 1
    settle(world, told)
    tell(check(world, told)).assert_whole()
    assert before.isdisjoint(found.key for found in world.store.list(""))


@pytest.mark.fault(8)
@pytest.mark.timeout(600)
def test_killed_mid_sweep(world: World, tell: Callable[[Table], Table]) -> None:
    """The object is deleted, and nobody was told so, while its sender is only slow: he is asked for it again."""
    stored = world.s3.proxy.trap(re.compile(rb"^PUT /\S+/original/"), reply=True)
    load = Load(world, 1, over_s=0, seed=SEED + 45)
    wait_until(stored.caught.is_set)
    deleted = world.s3.proxy.trap(b"POST /", pid=running(world, "reaper"), reply=True)
    world.sql("UPDATE reservations SET expires_at = now() RETURNING 1")
    world.sql("UPDATE intents SET expires_at = now() RETURNING 1")
    wait_until(deleted.caught.is_set)
    world.signal("reaper", signal.SIGKILL)
    stored.release()
    told = load.finish()
    world.mend()
    settle(world, told)
    tell(check(world, told)).assert_whole()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", [pytest.param("rabbitmq", marks=pytest.mark.fault(30))], indirect=True)
@pytest.mark.parametrize("part", ["media", "speech"])
def test_killed_before_ack_on_rabbitmq(world: World, part: str, tell: Callable[[Table], Table]) -> None:
    test_killed(world, part, before_ack, tell)


AGAIN = [
    pytest.param("redis", MESSAGES, marks=pytest.mark.fault(10, always=True)),
    pytest.param("rabbitmq", share(5), marks=pytest.mark.fault(30)),
]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("world", "count"), AGAIN, indirect=["world"], ids=["redis", "rabbitmq"])
def test_killed_again_and_again(world: World, count: int, tell: Callable[[Table], Table]) -> None:
    chance = random.Random(SEED)
    load = Load(world, count, over_s=count / 2, seed=SEED + 40)
    while load.going_on:
        kill(world, chance.choice(PARTS))
        world.proxies[chance.randrange(3)].reset()
        time.sleep(chance.uniform(0.5, 3))
    told = load.finish()
    settle(world, told)
    tell(check(world, told)).assert_nothing_lost()


def running(world: World, part: str) -> int:
    wait_until(lambda: world.pid(part) != 0, timeout_s=PATIENCE_S)
    return world.pid(part)


def restarted(world: World, part: str) -> int:
    before = running(world, part)
    kill(world, part)
    wait_until(lambda: world.pid(part) not in (0, before), timeout_s=PATIENCE_S)
    return world.pid(part)


def kill(world: World, part: str) -> None:
    world.signal(part, signal.SIGKILL)
    drop_all(world)
    world.mend()
