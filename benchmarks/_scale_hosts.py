"""Hosts for workers: network namespaces, each with its own cable to the servers, or else processes on this machine.

The benchmark begins itself anew in a namespace of its own, so that nothing on the machine is changed and nothing is
left: a namespace goes with its last process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.embedded.broker import LOOPBACK
from pipeline.embedded.process import Process

SERVERS = "10.64.0.1"
_INSIDE = "BENCHMARK_INSIDE"


@dataclass(frozen=True)
class Host:
    """`prefix` goes before a command that is to run there; `cable` is None where there is no network between."""

    prefix: Sequence[str] = ()
    cable: str | None = None

    def unplug(self) -> None:
        _ip("link", "set", str(self.cable), "down")

    def plug_in(self) -> None:
        _ip("link", "set", str(self.cable), "up")


@dataclass(frozen=True)
class Hosts:
    """`address` is where they reach the servers."""

    kind: str
    address: str
    each: list[Host] = field(default_factory=list)


def inside() -> bool:
    return _INSIDE in os.environ


def begin_inside(module: str) -> int | None:
    """The exit status of the same benchmark in a namespace of its own; None where the system offers none."""
    way = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        probe = [*way, "sh", "-c", "ip link add one type veth peer name other && unshare --net true"]
        subprocess.run(probe, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    command = [*way, sys.executable, "-m", module, *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, _INSIDE: "1"}).returncode


@contextmanager
def running(count: int) -> Iterator[Hosts]:
    if not inside():
        yield Hosts("processes", LOOPBACK, [Host()] * count)
        return
    _ip("link", "set", "lo", "up")
    _ip("address", "add", f"{SERVERS}/32", "dev", "lo")
    with ExitStack() as stops:
        yield Hosts("namespaces", SERVERS, [stops.enter_context(_namespace(number)) for number in range(1, count + 1)])


@contextmanager
def _namespace(number: int) -> Iterator[Host]:
    holder = Process(["unshare", "--net", "sleep", "infinity"], log=Path(os.devnull), env=os.environ)
    try:
        _wait_for_its_own(holder.pid)
        cable, near, far = f"host{number}", f"10.64.{number}.1", f"10.64.{number}.2"
        there = ("nsenter", "--target", str(holder.pid), "--net")
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("address", "add", f"{near}/30", "dev", cable)
        _ip("link", "set", cable, "up")
        for step in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{far}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", near),
        ):
            subprocess.run([*there, "ip", *step], check=True)
        yield Host(there, cable)
    finally:
        holder.end(patience_s=0)


def _wait_for_its_own(pid: int) -> None:
    while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
