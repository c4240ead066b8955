"""S3 fails, hangs, crawls, is away or breaks off while people send: it is asked again, and no row points to nothing."""

import time
from collections.abc import Callable

import pytest

from tests.faults.checker import Table, check, dangling, settle
from tests.faults.load import Load
from tests.faults.scale import OUTAGE_S, SEED, SPELL_S, share
from tests.faults.test_database_outage import is_clear
from tests.faults.world import World


def fails(world: World) -> None:
    world.s3.proxy.fail(0.4, SEED)


def hangs(world: World) -> None:
    world.s3.proxy.stall()


def crawls(world: World) -> None:
    world.s3.proxy.slow(150_000)


def away(world: World) -> None:
    world.s3.proxy.refuse()


def breaks_off(world: World) -> None:
    world.s3.proxy.cut(after=30_000)


@pytest.mark.fault(10)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [fails, hangs, crawls, away, breaks_off])
def test_messages_survive_whatever_the_object_store_does(
    world: World, fault: Callable[[World], None], tell: Callable[[Table], Table]
) -> None:
    spell_s = OUTAGE_S if fault in (away, hangs) else SPELL_S
    load = Load(world, share(5), over_s=spell_s, seed=SEED + 20)
    time.sleep(0.5)
    fault(world)
    until = time.monotonic() + spell_s
    while time.monotonic() < until:
        assert dangling(world) == set()
        time.sleep(0.2)
    world.mend()
    told = load.finish()
    settle(world, told)
    assert all(map(is_clear, told.problems))
    tell(check(world, told)).assert_whole()
