"""A message deleted at each stage of its way: nothing of it is there five seconds later, and nothing comes back."""

import signal
import time
from collections.abc import Callable
from threading import Thread

import httpx
import pytest

from storage.keys import message_prefix
from tests.api.receiver import receiving
from tests.faults.checker import Table, check, settle
from tests.faults.load import Sender, Told, recording
from tests.faults.moments import Moment, after_claim, after_put, before_commit, drop_all, mid_ffmpeg
from tests.faults.scale import OUTAGE_S, SEED
from tests.faults.world import PREFIX, World
from tests.stack import wait_until

GONE_WITHIN_S = 5.0
LONGER_S = 4.0
STAGES: list[tuple[str, Moment]] = [
    ("media", after_claim),
    ("media", mid_ffmpeg),
    ("media", after_put),
    ("media", before_commit),
    ("speech", after_claim),
    ("speech", after_put),
    ("speech", before_commit),
]
RUNNING = """
    SELECT j.message_id FROM jobs j JOIN messages m ON m.id = j.message_id
    WHERE m.thread_id = :thread AND j.queue = :queue AND j.state = 'running'
"""
ROWS = "SELECT count(*) FROM voices FULL JOIN transcripts USING (message_id) WHERE message_id = :message"
OPEN = "SELECT count(*) FROM jobs WHERE message_id = :message AND state IN ('queued', 'running')"


@pytest.mark.fault(14)
@pytest.mark.parametrize(("queue", "moment"), STAGES, ids=[f"{queue}-{moment.__name__}" for queue, moment in STAGES])
def test_deleted_while_it_is_worked_on(
    world: World, queue: str, moment: Moment, tell: Callable[[Table], Table]
) -> None:
    """In company of others, which arrive."""
    told = Told()
    with Sender(world.url, world.token("alice"), told) as alice:
        thread = alice.thread()
        reached = Thread(target=moment, args=(world, world.pid(queue)))
        reached.start()
        for number in range(4):
            alice.send(thread, recording(SEED + number))
        reached.join()
        victim = str(world.sql(RUNNING, thread=thread, queue=queue)[0][0])
        # A worker that is held back in the middle of a transaction makes it wait.
        deletion = Thread(target=alice.delete, args=(victim,))
        deletion.start()
        deletion.join(0.3)
        world.mend()
        deletion.join()
        stays_away(world, alice, thread, victim)
    settle(world, told)
    tell(check(world, told, deleted={victim})).assert_whole()


@pytest.mark.fault(16)
def test_deleted_and_then_written_by_a_worker_that_dies_of_it(world: World) -> None:
    """Its object comes after the first emptying, and nobody is left to take it back."""
    pid = world.pid("media")
    late = world.s3.proxy.trap(b"PUT /", pid=pid)
    with Sender(world.url, world.token("alice"), Told()) as alice:
        thread = alice.thread()
        message = alice.send(thread, recording(SEED))
        wait_until(late.caught.is_set)
        alice.delete(message)
        wait_until(lambda: world.sql("SELECT emptied FROM erasures WHERE message_id = :message", message=message)[0][0])
        answer = world.s3.proxy.trap(b"PUT /", pid=pid, reply=True)
        late.release()
        wait_until(lambda: answer.caught.is_set() or remains(world, message) != [])
        world.signal("media", signal.SIGKILL)
        drop_all(world)
        world.mend()
        stays_away(world, alice, thread, message)


@pytest.mark.fault(10)
def test_deleted_when_it_was_finished(world: World) -> None:
    with Sender(world.url, world.token("alice"), Told()) as alice:
        thread = alice.thread()
        message = alice.send(thread, recording(SEED))
        settle(world, alice.told)
        alice.delete(message)
        stays_away(world, alice, thread, message)


@pytest.mark.fault(20)
@pytest.mark.parametrize("fault", ["refuse", "stall"])
def test_deleted_while_the_store_is_away(world: World, fault: str) -> None:
    """Five seconds after the end of the outage nothing is left."""
    with Sender(world.url, world.token("alice"), Told()) as alice:
        thread = alice.thread()
        message = alice.send(thread, recording(SEED))
        settle(world, alice.told)
        getattr(world.s3.proxy, fault)()
        alice.delete(message)
        time.sleep(OUTAGE_S)
        assert remains(world, message)
        world.mend()
        stays_away(world, alice, thread, message)


@pytest.mark.fault(14)
def test_deleted_between_two_tries_of_a_webhook(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token('backend', scope='service')}"}
    with (
        receiving([500, 204]) as receiver,
        httpx.Client(base_url=world.url, headers=headers) as backend,
        Sender(world.url, world.token("alice"), Told()) as alice,
    ):
        events = ["message.created", "message.deleted"]
        hook = backend.post("/v1/webhooks", json={"url": receiver.url, "events": events}).json()["id"]
        message = alice.send(alice.thread(), recording(SEED))
        wait_until(lambda: len(receiver.calls) == 1)
        alice.delete(message)
        pending = "SELECT count(*) FROM deliveries WHERE webhook_id = :hook AND state = 'pending'"
        wait_until(lambda: world.sql(pending, hook=hook)[0][0] == 0)
        backend.delete(f"/v1/webhooks/{hook}")
    assert [content["type"] for content in receiver.contents()] == events


def stays_away(world: World, alice: Sender, thread: str, message: str) -> None:
    """Reads find nothing from now on; rows and objects are gone within the promised time and for some time on."""
    begun = time.monotonic()
    while (since := time.monotonic() - begun) < GONE_WITHIN_S + LONGER_S:
        assert alice.get(f"/v1/messages/{message}").status_code == 404
        assert message not in alice.get(f"/v1/threads/{thread}/messages").text
        assert world.sql(ROWS, message=message)[0][0] == world.sql(OPEN, message=message)[0][0] == 0
        assert since < GONE_WITHIN_S or remains(world, message) == []
        time.sleep(0.1)


def remains(world: World, message: str) -> list[str]:
    return [found.key for found in world.store.list(message_prefix(PREFIX, message))]
