"""The jails that are started ahead of their orders."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.transcode.sounds import voice, write_wav
from transcode import launching
from transcode.jail import Cell, run_jailed

CELL = Cell(memory_bytes=768 << 20, cpu_s=10, wall_s=20, file_bytes=0)


def run(*arguments: str, fds: Sequence[int] = ()) -> str:
    finished = run_jailed([*arguments, "-f", "null", "-"], CELL, "weak", fds)
    assert finished.returncode == 0, finished.log
    return finished.log


def silence() -> str:
    return run("-f", "lavfi", "-i", "anullsrc=d=0.01")


def waiting() -> "subprocess.Popen[bytes]":
    launcher: launching.Launcher = launching._own.waiting
    return launcher.process


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_each_message_takes_the_one_that_the_message_before_it_started() -> None:
    silence()
    ahead = waiting()
    silence()
    assert ahead.returncode == 0
    assert waiting().pid != ahead.pid


def test_one_that_was_ended_meanwhile_is_replaced() -> None:
    silence()
    waiting().kill()
    waiting().wait()
    silence()


def test_open_files_keep_their_numbers_whatever_their_order(tmp_path: Path) -> None:
    wavs = [write_wav(tmp_path / f"{seconds}.wav", voice(float(seconds))).open("rb") for seconds in (1, 2, 3)]
    one, two, three = (wav.fileno() for wav in wavs)
    for fds in ([one, two, three], [three, one, two]):
        for wav in wavs:
            wav.seek(0)
        log = run(*(word for fd in (one, two, three) for word in ("-fd", f"{fd}", "-f", "wav", "-i", "fd:")), fds=fds)
        assert [line.split()[1] for line in log.splitlines() if "Duration:" in line] == [
            "00:00:01.00,",
            "00:00:02.00,",
            "00:00:03.00,",
        ]
    for wav in wavs:
        wav.close()


def test_a_file_may_have_a_number_that_another_came_with(tmp_path: Path) -> None:
    script = """if True:
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from jail_launcher import _place
        came = [os.open(name, os.O_RDONLY) for name in sys.argv[2:]]
        _place(came, [came[1], came[2], came[0]])
        print([os.read(fd, 9) for fd in came])
    """
    names = [tmp_path / name for name in "abc"]
    for name in names:
        name.write_text(name.name)
    done = subprocess.run(
        [sys.executable, "-c", script, launching.LAUNCHER.parent, *names], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[b'c', b'a', b'b']", done.stderr


def test_it_ends_with_its_thread() -> None:
    pids = []

    def work() -> None:
        silence()
        pids.append(waiting().pid)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    eventually(lambda: gone(pids[0]))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["kill", "terminate", "communicate"])
def test_it_ends_with_its_worker(how: str) -> None:
    script = "import tests.transcode.test_launching as t; t.silence(); print(t.waiting().pid, flush=True); input()"
    worker = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout
    pid = int(worker.stdout.readline())
    assert not gone(pid)
    getattr(worker, how)()
    worker.communicate()
    eventually(lambda: gone(pid))


def test_a_fork_starts_its_own() -> None:
    silence()
    ahead = waiting()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            silence()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert ahead.poll() is None
    silence()
    assert ahead.returncode == 0
