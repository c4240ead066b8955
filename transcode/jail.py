"""The jail that every ffmpeg runs in: what it is made of here, and how a command is run in it."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from select import POLLHUP, POLLIN, poll

from imageio_ffmpeg import get_ffmpeg_exe

from transcode.errors import JailError
from transcode.jail_launcher import CANNOT_LOCK
from transcode.launching import launch

WALLS = {
    "landlock": "no file but ffmpeg, its libraries and the job folder",
    "seccomp": "no socket, no new process, no tracing, no signals or limits for others",
    "namespaces": "empty network and IPC namespaces, no capabilities, a limit on threads",
}
_LOG_HEAD_BYTES = 64 * 1024
_LOG_TAIL_BYTES = 1024 * 1024
# The kernel's limit and its accounts may differ by a few ticks.
_CPU_CLOCK_S = 0.1
_PROBE_WALL_S = 20.0


@dataclass(frozen=True)
class Cell:
    """The caps on one command; `writable` is the one folder it may open files in by name, if any."""

    memory_bytes: int
    cpu_s: int
    wall_s: float
    file_bytes: int
    writable: Path | None = None


@dataclass(frozen=True)
class Finished:
    """`returncode` as subprocess has it (negative: signal); `log` is stderr, its middle cut out when long.

    `spent` says that the processor time of the cell was used up; ffmpeg may catch that signal and end as if well.
    """

    returncode: int
    log: str
    cpu_s: float
    peak_bytes: int
    timed_out: bool
    spent: bool


@dataclass(frozen=True)
class JailReport:
    """`floor` is always in force; `walls` are what this system offers above it, `missing` what it does not."""

    floor: tuple[str, ...]
    walls: tuple[str, ...]
    missing: tuple[str, ...]
    files_isolated: bool
    network_isolated: bool

    def allows(self, level: str) -> bool:
        """Whether a setting of EARSHOT_JAIL (auto, strict, weak) is content with this jail."""
        if level == "strict":
            return self.files_isolated and self.network_isolated
        return level == "weak" or bool(self.walls)


@cache
def jail_report() -> JailReport:
    """What isolation is in force; tried out, once per process, on the real ffmpeg."""
    walls = _walls()
    floor: tuple[str, ...] = (
        "limits on memory, CPU, file size, open files",
        "own session",
        "empty environment",
    )
    if sys.platform == "linux":
        floor = (*floor, "dies with its worker", "no new privileges")
    return JailReport(
        floor=floor,
        walls=walls,
        missing=tuple(wall for wall in WALLS if wall not in walls),
        files_isolated="landlock" in walls,
        network_isolated="seccomp" in walls or "namespaces" in walls,
    )


def run_jailed(arguments: Sequence[str], cell: Cell, level: str, fds: Sequence[int] = ()) -> Finished:
    """Run ffmpeg with `arguments` and the open files `fds` in the jail, and wait for its end.

    Raises JailError when the jail does not satisfy `level` or could not be put up.
    """
    report = jail_report()
    if not report.allows(level):
        raise JailError(f"EARSHOT_JAIL={level} is not satisfied here; missing: {', '.join(report.missing)}")
    finished = _run(report.walls, arguments, cell, fds, ahead=True)
    if finished.returncode == CANNOT_LOCK:
        raise JailError(f"the jail could not be put up: {finished.log[-300:]}")
    return finished


@cache
def _walls() -> tuple[str, ...]:
    """The walls behind which ffmpeg still starts; alone first, then together."""
    if sys.platform != "linux":
        return ()
    standing = tuple(wall for wall in WALLS if _stands((wall,)))
    return standing if _stands(standing) else standing[:1]


def _stands(walls: tuple[str, ...]) -> bool:
    cell = Cell(memory_bytes=1 << 30, cpu_s=10, wall_s=_PROBE_WALL_S, file_bytes=0)
    return _run(walls, ["-version"], cell).returncode == 0


def _run(
    walls: tuple[str, ...], arguments: Sequence[str], cell: Cell, fds: Sequence[int] = (), *, ahead: bool = False
) -> Finished:
    with launch(orders(walls, arguments, cell, fds), fds, ahead=ahead) as process:
        try:
            return _watch(process, cell)
        finally:
            _kill(process)


def orders(walls: tuple[str, ...], arguments: Sequence[str], cell: Cell, fds: Sequence[int]) -> list[str]:
    """What the launcher puts up, where, and the ffmpeg that it becomes; nothing of the file is in there."""
    options = [
        f"parent={os.getpid()}",
        f"cwd={cell.writable or '/'}",
        *(f"fd={fd}" for fd in fds),
        f"cpu_s={cell.cpu_s}",
        f"memory_bytes={cell.memory_bytes}",
        f"file_bytes={cell.file_bytes}",
        *(f"wall={wall}" for wall in walls),
        *(f"read={path}" for path in _needed_to_start()),
        *([f"write={cell.writable}"] if cell.writable else []),
    ]
    return [*options, "--", ffmpeg_path(), *arguments]


@cache
def ffmpeg_path() -> str:
    """The wheel's own binary; never one that happens to be in PATH."""
    return os.path.realpath(str(get_ffmpeg_exe()))


@cache
def _needed_to_start() -> tuple[str, ...]:
    """ffmpeg and the shared libraries that the loader maps for it."""
    loader = subprocess.run(  # noqa: S603
        [ffmpeg_path()], env={"LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, text=True, check=False
    )
    words = (word for line in loader.stdout.splitlines() for word in line.split())
    libraries = [word for word in words if word.startswith("/")]
    return tuple(path for path in (ffmpeg_path(), *libraries, "/etc/ld.so.cache") if os.path.exists(path))


def _watch(process: "subprocess.Popen[bytes]", cell: Cell) -> Finished:
    deadline = time.monotonic() + cell.wall_s
    log = _read_log(process, deadline)
    ended, status, usage = _wait(process.pid, deadline)
    if not ended:
        _kill(process)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    return Finished(
        returncode=process.returncode,
        log=log.decode("utf-8", "replace"),
        cpu_s=cpu_s,
        peak_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        timed_out=not ended,
        spent=cpu_s >= cell.cpu_s - _CPU_CLOCK_S,
    )


def _wait(pid: int, deadline: float) -> tuple[int, int, resource.struct_rusage]:
    """As wait4, but not beyond the deadline; stderr is closed, so the end is at most moments away."""
    while True:
        waited = os.wait4(pid, os.WNOHANG)
        if waited[0] or time.monotonic() >= deadline:
            return waited
        time.sleep(0.001)


def _read_log(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Everything is read, so that nobody blocks on a full pipe; little of it is kept."""
    assert process.stderr is not None
    head, tail = bytearray(), bytearray()
    ready = poll()
    ready.register(process.stderr, POLLIN | POLLHUP)
    while (left := deadline - time.monotonic()) > 0:
        if not ready.poll(left * 1000):
            continue
        chunk = os.read(process.stderr.fileno(), 1 << 16)
        if not chunk:
            break
        room = _LOG_HEAD_BYTES - len(head)
        head += chunk[:room]
        tail = (tail + chunk[room:])[-_LOG_TAIL_BYTES:]
    return bytes(head + tail)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
