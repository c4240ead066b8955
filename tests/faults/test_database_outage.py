"""Postgres dies, is away or hangs while people send: they are told to come back, and nothing is half-written."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.faults.checker import Table, check, settle
from tests.faults.load import Load, Sender, Told, recording
from tests.faults.scale import OUTAGE_S, SEED, SPELL_S, share
from tests.faults.world import World


def restart(world: World) -> None:
    world.postgres.restart()


def outage(world: World) -> None:
    world.postgres.kill()
    time.sleep(OUTAGE_S)
    world.postgres.start()


def hangs(world: World) -> None:
    world.postgres.proxy.stall()
    time.sleep(OUTAGE_S)


@pytest.mark.fault(10)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [restart, outage, hangs])
def test_messages_survive_whatever_the_database_does(
    world: World, fault: Callable[[World], None], tell: Callable[[Table], Table]
) -> None:
    load = Load(world, share(3), over_s=SPELL_S if fault == restart else OUTAGE_S, seed=SEED + 10)
    time.sleep(0.5)
    fault(world)
    world.mend()
    told = load.finish()
    settle(world, told)
    assert all(map(is_clear, told.problems))
    tell(check(world, told)).assert_whole()


@pytest.mark.fault(12)
@pytest.mark.timeout(600)
def test_what_was_just_accepted_survives_a_kill_of_the_database(world: World, tell: Callable[[Table], Table]) -> None:
    told = Told()
    with Sender(world.url, world.token("alice"), told) as sender:
        thread = sender.thread()
        for number in range(3):
            send = (sender.send, sender.send_resumable)[number % 2]
            send(thread, recording(SEED + 17 + number))
            world.postgres.restart()
    settle(world, told)
    tell(check(world, told)).assert_whole()


def is_clear(problem: httpx.Response) -> bool:
    """Says that it is not the sender's fault, and when to try again."""
    if problem.status_code == 409 and problem.content:
        return problem.json()["code"] in ("idempotency_conflict", "offset_conflict")
    # What answers HEAD has no body.
    says = problem.json()["code"] if problem.content else "storage_unavailable"
    return problem.status_code == 503 and says == "storage_unavailable" and int(problem.headers["Retry-After"]) > 0
