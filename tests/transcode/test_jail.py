"""What a process in the jail can not do, whatever it is told to."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import create_server
from typing import TypeVar

import pytest

from tests import stack
from tests.transcode import attacks
from tests.transcode.conftest import Make
from transcode import JailError, JailReport, TranscodeSettings, commands, jail_report, transcode
from transcode.containers import MP3, MP4, OGG, WAV, WEBM, Container
from transcode.jail import WALLS, Cell, orders, run_jailed
from transcode.launching import LAUNCHER

Result = TypeVar("Result")
FOREVER = ("-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-")
MEMORY = 768 << 20


def cell(folder: Path | None = None, cpu_s: int = 10, wall_s: float = 20, file_bytes: int = 1 << 20) -> Cell:
    return Cell(memory_bytes=MEMORY, cpu_s=cpu_s, wall_s=wall_s, file_bytes=file_bytes, writable=folder)


@pytest.fixture
def all_walls() -> None:
    missing = jail_report().missing
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"this system lacks {', '.join(missing)}")


def test_the_report_names_every_wall_once() -> None:
    report = jail_report()
    assert {*report.walls, *report.missing} == set(WALLS)
    assert report.floor


@pytest.mark.parametrize(
    ("walls", "files", "network", "content"),
    [((), False, False, {"weak"}), (("seccomp",), False, True, {"weak", "auto"}),
     (("landlock", "seccomp"), True, True, {"weak", "auto", "strict"})],
)  # fmt: skip
def test_each_level_asks_for_more(walls: tuple[str, ...], files: bool, network: bool, content: set[str]) -> None:
    report = JailReport(("limits",), walls, (), files, network)
    assert {level for level in ("weak", "auto", "strict") if report.allows(level)} == content


def test_a_jail_below_the_demanded_level_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcode.jail.jail_report", lambda: JailReport(("limits",), (), ("landlock",), False, False))
    with pytest.raises(JailError, match="missing: landlock"):
        run_jailed(["-version"], cell(), "auto")
    assert run_jailed(["-version"], cell(), "weak").returncode == 0


@pytest.mark.usefixtures("all_walls")
def test_no_file_outside_the_folder_is_read_or_written(spoken: Path, folder: Path) -> None:
    reading = run_jailed(["-i", f"file:{spoken}", "-f", "null", "-"], cell(folder), "auto")
    assert "Permission denied" in reading.log
    outside = spoken.with_name("stolen.wav")
    tone = ("-f", "lavfi", "-i", "anullsrc=d=0.1")
    assert run_jailed([*tone, f"file:{outside}"], cell(folder), "auto").returncode != 0
    assert not outside.exists()
    assert run_jailed([*tone, "file:inside.wav"], cell(folder), "auto").returncode == 0


@pytest.mark.usefixtures("all_walls")
def test_no_socket_is_opened() -> None:
    with create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.wav"
        assert run_jailed(["-i", address, "-f", "null", "-"], cell(), "auto").returncode != 0
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.usefixtures("all_walls")
@pytest.mark.parametrize(
    ("attempt", "answer"),
    [
        ("import socket; socket.socket()", "PermissionError"),
        ("import os; os.fork()", "PermissionError"),
        ("import os; os.kill(os.getppid(), 0)", "PermissionError"),
        ("import threading; t = threading.Thread(target=print, args=('threads run',)); t.start()", "threads run"),
        ("import os; print(sorted(os.environ))", "['LC_ALL', 'MALLOC_ARENA_MAX']"),
        ("x = bytearray(900 << 20)", "MemoryError"),
    ],
)
def test_system_calls_that_decoding_needs_not_are_refused(attempt: str, answer: str) -> None:
    limits = (f"parent={os.getpid()}", "cwd=/", "cpu_s=5", f"memory_bytes={MEMORY}", "file_bytes=0", "wall=seccomp")
    python = [sys.executable, "-I", "-S", "-c", attempt]
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, *limits, "--", *python], capture_output=True, text=True
    )
    assert answer in done.stdout + done.stderr


def test_time_memory_and_output_are_capped(folder: Path) -> None:
    began = time.monotonic()
    assert run_jailed(FOREVER, cell(wall_s=0.5), "auto").timed_out
    assert time.monotonic() - began < 10
    endless = ("-f", "lavfi", "-i", "anullsrc")
    greedy = run_jailed([*endless, "-f", "null", "-"], cell(cpu_s=1), "auto")
    assert greedy.spent
    assert greedy.returncode == -signal.SIGKILL
    too_much = run_jailed([*endless, "file:big.wav"], cell(folder), "auto")
    assert "File too large" in too_much.log
    assert (folder / "big.wav").stat().st_size <= 1 << 20


def test_a_flood_of_messages_is_read_but_not_kept() -> None:
    chatty = ("-loglevel", "trace", "-f", "lavfi", "-i", "anullsrc=d=60", "-af", "ashowinfo", "-f", "null", "-")
    assert len(run_jailed(chatty, cell(), "auto").log) < 1_200_000


def test_it_dies_with_its_worker() -> None:
    script = f"from transcode.jail import Cell, run_jailed\nrun_jailed({FOREVER}, Cell({MEMORY}, 10, 60, 0), 'auto')\n"
    worker = subprocess.Popen([sys.executable, "-c", script])
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    if not children.exists():
        worker.kill()
        pytest.skip("this system does not list children")
    pid = eventually(lambda: [pid for pid in children.read_text().split() if b"anullsrc" in cmdline(pid)])[0]
    worker.kill()
    worker.wait()
    eventually(lambda: b"anullsrc" not in cmdline(pid))


def cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def eventually(look: Callable[[], Result]) -> Result:
    deadline = time.monotonic() + 20
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found
    return found


def test_a_full_disk_is_not_the_files_fault(spoken: Path, folder: Path, settings: TranscodeSettings) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    (folder / "decoded.f32").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No"):
        transcode(spoken, folder, settings)


def test_a_starved_process_is_not_the_files_fault(spoken: Path, folder: Path) -> None:
    with pytest.raises(JailError, match="stood still"):
        transcode(spoken, folder, TranscodeSettings(process_wall_s=0.001))


def test_strace_sees_nothing_but_the_needed_files(make: Make, folder: Path) -> None:
    with make("x.m4a").open("rb") as source:
        arguments = ["-fd", str(source.fileno()), "-f", "mov", "-i", "fd:", "file:out.wav"]
        status, opened, sockets = traced(arguments, [source.fileno()], folder)
    assert (status, opened, sockets) == (0, {"out.wav"}, [])


def test_strace_would_see_what_a_playlist_refers_to(folder: Path) -> None:
    (folder / "source").write_bytes(REFERRING["concat"])
    with (folder / "source").open("rb") as source:
        followed = ["-f", "concat", "-safe", "0", "-protocol_whitelist", "fd,file", "-fd", str(source.fileno())]
        _, opened, _ = traced([*followed, "-i", "fd:", "-f", "null", "-"], [source.fileno()], folder)
    assert opened == {"/etc/passwd"}


REFERRING = {
    "hls": attacks.HLS % b"file:/etc/passwd",
    "concat": attacks.CONCAT % b"file:/etc/passwd",
    "dash": attacks.DASH % b"http://127.0.0.1:9/x",
    "sdp": attacks.SDP % b"9",
    "avi": attacks.avi_with_playlist(attacks.HLS % b"file:/etc/passwd"),
}


@pytest.mark.parametrize("pretended", [MP4, MP3, OGG, WAV, WEBM], ids=lambda container: container.name)
@pytest.mark.parametrize("kind", REFERRING)
def test_strace_sees_no_file_and_no_socket_for_what_refers_to_others(
    kind: str, pretended: Container, folder: Path, settings: TranscodeSettings
) -> None:
    """The whole decode, the sniffer passed over; the walls do not have to hold, because nothing is tried."""
    (folder / "source").write_bytes(REFERRING[kind])
    fds = [os.open(folder / "source", os.O_RDONLY) for _ in range(2)]
    fds.append(os.open(folder / "decoded.f32", os.O_RDWR | os.O_CREAT))
    try:
        arguments = commands.decode(pretended, fds[:1], fds[1], fds[2], commands.MIX, settings)
        status, opened, sockets = traced(arguments, fds, folder)
    finally:
        for fd in fds:
            os.close(fd)
    assert status != 0
    assert (opened, sockets) == (set(), [])


def traced(arguments: list[str], fds: list[int], folder: Path) -> tuple[int, set[str], list[str]]:
    """The exit status of ffmpeg in the jail, the files that it tried to open, its sockets."""
    strace = shutil.which("strace") or stack.missing("strace is not installed")
    if "landlock" not in jail_report().walls:
        pytest.skip("needs Landlock")
    told = orders(jail_report().walls, arguments, cell(folder), fds)
    jailed = [sys.executable, "-I", "-S", str(LAUNCHER), *told]
    trace = [strace, "-D", "-f", "-o", str(folder / "trace"), "-e", "trace=open,openat,socket,connect,execve"]
    done = subprocess.run([*trace, *jailed], pass_fds=fds, cwd=folder, env={}, capture_output=True)
    if done.returncode != 0 and b"ptrace" in done.stderr:
        pytest.skip("may not trace here")
    lines = eventually(
        lambda: (folder / "trace").read_text() if "exited with" in (folder / "trace").read_text() else ""
    )
    ours = lines[lines.rindex("execve(") :]
    # Its loader also looks for graphics drivers, wherever they might be.
    found = re.findall(r'open(?:at)?\([^"]*"([^"]+)"', ours)
    needed = {argument[5:] for argument in jailed if argument.startswith("read=")}
    tried = {path for path in found if path not in needed and not path.endswith("/libvulkan.so.1")}
    return done.returncode, tried, re.findall(r"(?:socket|connect)\([^)]*", ours)
