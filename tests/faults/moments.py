"""Named moments at which a part of the product is stopped in its tracks. The product knows nothing of them: proxies
hold back what it says to its servers, and what it does is seen from outside."""

import re
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.faults.proxy import Trap
from tests.faults.world import World
from tests.stack import wait_until

# Returns when the process of that number is there.
Moment = Callable[[World, int], None]
# Of AMQP: the class and the method in its frame.
_BASIC_ACK, BASIC_PUBLISH = b"\0\x3c\0\x50", b"\0\x3c\0\x28"
_LAST_PUT = re.compile(rb"^PUT /\S+/(original|speech|transcript)/")


def after_claim(world: World, pid: int) -> None:
    """It asks for the recording that it is to work on."""
    _caught(world.s3.proxy.trap(b"GET /", pid=pid))


def mid_ffmpeg(world: World, pid: int) -> None:
    wait_until(lambda: _runs_ffmpeg(pid))


def after_put(world: World, pid: int) -> None:
    """The first of its objects is stored, and it was not told so."""
    _caught(world.s3.proxy.trap(b"PUT /", pid=pid, reply=True))


def before_commit(world: World, pid: int) -> None:
    """All its objects are stored; what it says next to the database is held back."""
    _held_back(world, pid, b"COMMIT", reply=False)


def before_message(world: World, pid: int) -> None:
    """The original of a recording is stored; the statement that makes its message is held back."""
    _held_back(world, pid, b"/original/", reply=False)


def after_message(world: World, pid: int) -> None:
    """The statement that makes a message was carried out, and the API was not told so."""
    _held_back(world, pid, b"/original/", reply=True)


def before_ack(world: World, pid: int) -> None:
    """It has taken a ring out of the broker, and nobody else knows."""
    _caught(world.broker.trap(b"unacked", _BASIC_ACK, pid=pid))


def after_commit(world: World, pid: int) -> None:
    """Its result is committed, and it was not told so."""
    _held_back(world, pid, b"COMMIT", reply=True)


def any_commit(world: World, pid: int) -> None:
    _caught(world.postgres.proxy.trap(b"COMMIT", pid=pid))


def drop_all(world: World) -> None:
    """What was held back at a moment is never said."""
    for proxy in world.proxies:
        for trap in proxy.traps:
            trap.drop()


def _held_back(world: World, pid: int, said: bytes, *, reply: bool) -> None:
    """What it says to the database after its last PUT, or what that answers."""
    last_put = world.s3.proxy.trap(_LAST_PUT, pid=pid, reply=True)
    _caught(last_put)
    held = world.postgres.proxy.trap(said, pid=pid, reply=reply)
    last_put.release()
    _caught(held)


def _caught(trap: Trap) -> None:
    wait_until(trap.caught.is_set)


def _runs_ffmpeg(pid: int) -> bool:
    with suppress(psutil.Error):
        return any("ffmpeg" in child.name() for child in psutil.Process(pid).children(recursive=True))
    return False
