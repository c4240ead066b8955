"""What a process in the jail can't do to others, its worker above all, whatever walls stand beside seccomp."""

import os
import signal
import subprocess
import sys

import pytest

from transcode import jail_report
from transcode.jail_launcher import _FCNTL, _PRLIMIT, _TGKILL
from transcode.launching import LAUNCHER

MACHINE = os.uname().machine
pytestmark = pytest.mark.skipif(MACHINE not in _PRLIMIT or sys.platform != "linux", reason="no filter for this machine")

# Without the filter each attempt would do no harm, and the kernel allow it; only to a worker that is not root, where
# scheduling is concerned.
SETTING = f"""if True:
    import ctypes, fcntl, os, signal, sys, threading
    libc = ctypes.CDLL(None, use_errno=True)
    prlimit, tgkill, change = {_PRLIMIT.get(MACHINE)}, {_TGKILL.get(MACHINE)}, {_FCNTL.get(MACHINE)}
    worker, me = os.getppid(), os.getpid()
    limits = ctypes.addressof(ctypes.create_string_buffer(16))

    def call(*arguments):
        if libc.syscall(*map(ctypes.c_long, arguments)) < 0:
            raise OSError(ctypes.get_errno(), "")
"""
REFUSED = {
    "read the limits of the worker": "call(prlimit, worker, 1, 0, limits)",
    "process 0 in one half only": "call(prlimit, 1 << 32, 1, 0, limits)",
    "signal the worker": "call(tgkill, worker, worker, 0)",
    "signal itself in one half only": "call(tgkill, 1 << 32 | me, me, 0)",
    "signal all": "call(tgkill, -1, worker, 0)",
    "processors of the worker": "os.sched_setaffinity(worker, os.sched_getaffinity(worker))",
    "scheduling of the worker": "os.sched_setscheduler(worker, os.SCHED_OTHER, os.sched_param(0))",
    "priority of the worker": "os.setpriority(os.PRIO_PROCESS, worker, os.getpriority(os.PRIO_PROCESS, worker))",
    "a signal to the worker by a file": "fcntl.fcntl(0, 8, worker)",
    "that signal is another": "fcntl.fcntl(0, 10, signal.SIGKILL)",
    "the same in 64 bits": "call(change, 0, 1 << 32 | 8, worker)",
    "the same for a thread": "call(change, 0, 15, limits)",
}
ALLOWED = {
    "its own limits": "call(prlimit, 0, 1, 0, limits)",
    "signal itself": "call(tgkill, me, me, 0)",
    "files that the next program is not to have": "fcntl.fcntl(os.dup(0), fcntl.F_SETFD, fcntl.FD_CLOEXEC)",
    "threads": "thread = threading.Thread(target=print); thread.start(); thread.join()",
}
WALLS = (("seccomp",), ("landlock", "seccomp"), ("seccomp", "namespaces"), ("landlock", "seccomp", "namespaces"))


@pytest.fixture(params=WALLS, ids="+".join)
def walls(request: pytest.FixtureRequest) -> tuple[str, ...]:
    chosen: tuple[str, ...] = request.param
    if not {*chosen} <= {*jail_report().walls}:
        pytest.skip(f"this system lacks {', '.join(jail_report().missing)}")
    return chosen


def jailed(attempt: str, walls: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    limits = (f"parent={os.getpid()}", "cwd=/", "cpu_s=5", f"memory_bytes={768 << 20}", "file_bytes=0", "read=/")
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), *limits, *(f"wall={wall}" for wall in walls)]
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", f"{SETTING}    {attempt}; print('done')"]
    return subprocess.run([*launcher, "--", *python], stdin=subprocess.PIPE, capture_output=True, text=True)


@pytest.mark.parametrize("attempt", REFUSED)
def test_others_are_left_alone(attempt: str, walls: tuple[str, ...]) -> None:
    done = jailed(REFUSED[attempt], walls)
    assert "PermissionError: [Errno 1]" in done.stderr


@pytest.mark.parametrize("attempt", ALLOWED)
def test_what_it_does_to_itself_is_allowed(attempt: str, walls: tuple[str, ...]) -> None:
    done = jailed(ALLOWED[attempt], walls)
    assert done.stdout.endswith("done\n"), done.stderr


def test_it_may_abort(walls: tuple[str, ...]) -> None:
    assert jailed("os.abort()", walls).returncode == -signal.SIGABRT
