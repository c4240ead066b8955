"""The database is restored from an older copy: what it has forgotten stays until an operator says otherwise."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.checker import Table, check, orphans, settle
from tests.faults.load import Sender, Told, recording
from tests.faults.scale import SEED
from tests.faults.world import World


@pytest.fixture
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("restored")) as world:
        yield world


@pytest.mark.fault(40)
@pytest.mark.timeout(600)
def test_a_restored_database_costs_no_voice(own_world: World, tell: Callable[[Table], Table]) -> None:
    world = own_world
    remembered = sent(world, 2)
    world.stop()
    world.copy_database()
    world.start()
    forgotten = sent(world, 2)
    in_flight = world.sql("SELECT original_key, message_id FROM voices ORDER BY message_id DESC LIMIT 1")[0]
    world.stop()
    world.restore_database()
    # When the copy was made this one was on its way.
    key, message = in_flight
    world.sql("INSERT INTO intents VALUES (:key, :message, now() - interval '1 day')", key=key, message=message)
    world.age_objects(days=8)
    world.start()
    time.sleep(3 * 2)
    swept = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", "sweep"],
        env=dict(world.info.environment),
        capture_output=True,
        text=True,
    )
    assert swept.returncode == 3, swept
    assert "--force" in swept.stdout
    table = tell(check(world, remembered))
    assert (table.lost, table.doubled, table.accepted) == (0, 0, 2), table
    left = {key.split("/")[1] for key in orphans(world)}
    assert left == set(forgotten.accepted)
    # Original, two renditions, speech audio and transcript of each.
    assert len(orphans(world)) == 5 * len(left)


def sent(world: World, count: int) -> Told:
    told = Told()
    with Sender(world.url, world.token("alice"), told) as sender:
        thread = sender.thread()
        for number in range(count):
            sender.send(thread, recording(SEED * 100 + number))
    settle(world, told)
    return told
