"""Recordings that want all memory, never end or kill whoever works on them, among good ones: those arrive."""

import signal
import time
from collections.abc import Callable

import httpx
import pytest

from storage.jobs import QUEUES, Queue
from tests.faults.checker import Table, check, settle
from tests.faults.load import Load, Sender, Told, recording
from tests.faults.scale import SEED, share
from tests.faults.world import World
from tests.transcode.attacks import endless_flac, wav

JOB = "SELECT id, state, reason FROM jobs WHERE message_id = :message AND queue = :queue"


def hungry() -> list[bytes]:
    """Minutes and hours out of next to nothing, and a second at 1 Hz, which at 48 kHz wants gigabytes."""
    return [endless_flac(), endless_flac(8_000, 10 * 3600 * 8_000 // 65_535), wav(bytes(200_000), rate=1)]


@pytest.mark.fault(10)
@pytest.mark.timeout(600)
def test_the_caps_stop_what_wants_too_much(world: World, tell: Callable[[Table], Table]) -> None:
    told, bodies = Told(), hungry()
    load = Load(world, share(2), over_s=2, seed=SEED + 80)
    with Sender(world.url, world.token("alice"), told) as sender:
        thread = sender.thread()
        for body in bodies:
            sender.send(thread, body)
    told |= load.finish()
    settle(world, told)
    table = tell(check(world, told))
    table.assert_nothing_lost()
    assert (table.rejected, table.charged) == (len(bodies), 0)
    assert table.ready == table.transcribed == table.accepted - len(bodies)


@pytest.mark.fault(None)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("queue", QUEUES)
def test_what_kills_its_worker_is_given_up_and_can_be_tried_again(
    world: World, queue: Queue, tell: Callable[[Table], Table]
) -> None:
    told = Told()
    with Sender(world.url, world.token("alice"), told) as sender:
        killer = sender.send(sender.thread(), recording(SEED + 81))
        load = Load(world, share(2), over_s=2, seed=SEED + 82)
        while state(world, killer, queue) != "dead":
            if state(world, killer, queue) == "running":
                world.signal(queue, signal.SIGKILL)
            time.sleep(0.02)
        told |= load.finish()
        settle(world, told)
        table = check(world, told)
        table.assert_nothing_lost()
        assert table.transcribed == table.accepted - 1
        [job] = world.sql(JOB, message=killer, queue=queue)
        assert "lease expired" in job.reason
        voice = sender.get(f"/v1/messages/{killer}").json()["voice"]
        failed = voice if queue == "media" else voice["transcript"]
        assert (failed["state"], failed["error"]["code"][-7:]) == ("failed", "_failed")
    operator = {"Authorization": f"Bearer {world.token('operator', 'admin')}"}
    assert httpx.post(f"{world.url}/v1/jobs/{job.id}/retry", headers=operator).status_code == 200
    settle(world, told)
    tell(check(world, told)).assert_whole()


def state(world: World, message: str, queue: Queue) -> str:
    rows = world.sql(JOB, message=message, queue=queue)
    return str(rows[0].state) if rows else ""
