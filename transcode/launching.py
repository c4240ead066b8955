"""Launchers of the jail that are started ahead: Python needs 15 ms to start, which a message would wait for twice."""

import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LAUNCHER = Path(__file__).with_name("jail_launcher.py")
# Of a thread its own: a jail ends with the thread that started it.
_own = threading.local()


class Launcher:
    """A process that waits to be told what to become; it ends when whoever started it does."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 (a fixed program)
                [sys.executable, "-I", "-S", str(LAUNCHER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={},
                start_new_session=True,
            )
        self.owner = os.getpid()
        self._given_up = weakref.finalize(self, _give_up, self.process, self._orders, self.owner)

    def order(self, orders: Sequence[str], fds: Sequence[int]) -> None:
        """Raises OSError when the process was ended meanwhile."""
        told = "\0".join(orders).encode()
        with self._orders:
            socket.send_fds(self._orders, [told[:1]], list(fds))
            self._orders.sendall(told[1:])
        self._given_up.detach()


def launch(orders: Sequence[str], fds: Sequence[int], *, ahead: bool) -> "subprocess.Popen[bytes]":
    """A process that follows `orders`, which name the open files `fds`; with `ahead` the next one of this thread is
    started at once."""
    process = _ordered(orders, fds)
    if ahead:
        # Without it the next message waits a little longer.
        with suppress(OSError):
            _own.waiting = Launcher()
    return process


def _ordered(orders: Sequence[str], fds: Sequence[int]) -> "subprocess.Popen[bytes]":
    waiting: Launcher | None = _own.__dict__.pop("waiting", None)
    # In a fork it would not be our child.
    if waiting and waiting.owner == os.getpid():
        with suppress(OSError):
            waiting.order(orders, fds)
            return waiting.process
    launcher = Launcher()
    launcher.order(orders, fds)
    return launcher.process


def _give_up(process: "subprocess.Popen[bytes]", orders: socket.socket, owner: int) -> None:
    orders.close()
    if os.getpid() == owner:
        process.kill()
        with process:
            pass
