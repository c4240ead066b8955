"""The checker finds what it is there to find: each kind of damage, done on purpose, shows in its table."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from storage.keys import object_key
from tests.faults.checker import check, dangling, settle
from tests.faults.load import Load, Told
from tests.faults.scale import SEED
from tests.faults.world import PREFIX, World


@pytest.fixture
def sent(world: World) -> Told:
    told = Load(world, 1, over_s=0, seed=SEED + 15).finish()
    settle(world, told)
    return told


@pytest.mark.fault(6)
def test_it_finds_what_is_lost(world: World, sent: Told) -> None:
    [message] = sent.accepted
    voice = world.sql("SELECT original_key, renditions FROM voices WHERE message_id = :message", message=message)[0]
    for key in (voice.original_key, voice.renditions[1]["object_key"]):
        with damaged(world, key):
            world.store.delete([key])
            assert dangling(world) == {key}
            assert check(world, sent).lost == 1
            world.store.put(key, b"other bytes", size=11, content_type="audio/ogg")
            assert check(world, sent).lost == 1
    told = Told({**sent.accepted, "msg_never_made": "0" * 64}, threads=sent.threads)
    assert check(world, told).lost == 1
    told = Told({message: "0" * 64}, threads=sent.threads)
    assert check(world, told).lost == 1, "not what was sent"
    check(world, sent).assert_whole()


@pytest.mark.fault(6)
def test_it_finds_what_is_doubled_orphaned_or_blamed(world: World, sent: Told) -> None:
    [message] = sent.accepted
    assert check(world, Told(threads=sent.threads)).doubled == 1, "a message of which nobody was told"
    stray = object_key(PREFIX, message, "original", "0" * 64, "ogg")
    world.store.put(stray, b"stray", size=5, content_type="audio/ogg")
    assert check(world, sent).orphaned == 1
    world.store.delete([stray])
    world.sql("UPDATE jobs SET attempts = 1 WHERE message_id = :message AND queue = 'media'", message=message)
    assert check(world, sent).charged == 1
    world.sql("UPDATE jobs SET attempts = 0 WHERE message_id = :message", message=message)
    world.sql(
        "INSERT INTO events (type, thread_id, message_id) SELECT type, thread_id, message_id FROM events"
        " WHERE type = 'voice.ready' AND message_id = :message",
        message=message,
    )
    assert check(world, sent).doubled == 1


@contextmanager
def damaged(world: World, key: str) -> Iterator[None]:
    """Whatever is done to the object meanwhile is undone: other tests look at the same store."""
    with world.store.get(key) as stream:
        body = stream.read()
    try:
        yield
    finally:
        world.store.put(key, body, size=len(body), content_type="audio/ogg")
