"""When a bell is rung, and when it is left alone; how rings travel is tried with workers."""

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from pipeline import celery_app, rings
from pipeline.rings import Ringer
from storage.jobs import Lane
from tests import stack


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Lane, float]]:
    """Each ring that was tried; live ones find nobody idle when there were two."""
    tried: list[tuple[str, Lane, float]] = []

    def ring(_: object, queue: str, lane: Lane) -> bool:
        tried.append((queue, lane, time.monotonic()))
        return lane != Lane.LIVE or len(tried) < 2

    monkeypatch.setattr(celery_app, "ring", ring)
    return tried


@pytest.fixture
def ringer() -> Iterator[Ringer]:
    made = Ringer("redis://127.0.0.1:1/0")
    yield made
    made.close()


def test_many_wishes_are_few_rings_and_the_last_is_not_lost(
    ringer: Ringer, heard: list[tuple[str, Lane, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rings, "_CROWD_PAUSE_S", 0.3)
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        ringer.ring("media")
        time.sleep(0.001)
    last = time.monotonic()
    ringer.ring("media")
    stack.wait_until(lambda: heard[-1][2] >= last)
    assert len(heard) < 10
    assert all(after[2] - before[2] >= 0.3 for before, after in pairwise(heard[1:]))


def test_a_crowded_bell_does_not_hold_up_another(
    ringer: Ringer, heard: list[tuple[str, Lane, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rings, "_CROWD_PAUSE_S", 2.0)
    for _ in range(2):
        ringer.ring("media")
        time.sleep(0.05)
    stack.wait_until(lambda: len(heard) == 2)
    ringer.ring("media")
    ringer.ring("media", Lane.BATCH)
    stack.wait_until(lambda: len(heard) == 4)
    assert [each[1] for each in heard] == [Lane.LIVE, Lane.LIVE, Lane.BATCH, Lane.LIVE]


def test_at_the_end_what_is_wanted_is_rung(heard: list[tuple[str, Lane, float]]) -> None:
    ringer = Ringer("redis://127.0.0.1:1/0")
    for _ in range(3):
        ringer.ring("media")
        time.sleep(0.05)
    ringer.ring("speech")
    ringer.close()
    assert {each[0] for each in heard} == {"media", "speech"}
    assert not [thread for thread in threading.enumerate() if thread.name == "ringer"]
