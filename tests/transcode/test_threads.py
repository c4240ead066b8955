"""Threads that somebody else has, and ffmpeg therefore not, are not the file's fault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transcode import TranscodeFailed
from transcode.jail import Cell, orders, run_jailed
from transcode.jail_launcher import _counts_by_namespace
from transcode.launching import LAUNCHER
from transcode.threads import judge_threads

CELL = Cell(memory_bytes=768 << 20, cpu_s=10, wall_s=20, file_bytes=0)
SILENCE = ("-nostdin", "-filter_threads", "1", "-f", "lavfi", "-i", "anullsrc=d=0.01")
# Lives until nobody reads from it.
HOG = """if True:
    import select, sys, threading, time
    for _ in range(int(sys.argv[1])):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("ready", flush=True)
    closed = select.poll()
    closed.register(1, 0)
    closed.poll(60_000)
"""
# The hog and the command are each the first process of a PID namespace of their own, and see nothing of the other.
BESIDE = """
    apart="unshare --pid --fork --kill-child --mount-proc $1" python=$2 hog=$3 threads=$4
    shift 4
    $apart "$python" -I -S -c "$hog" "$threads" | { read ready && exec $apart "$@"; }
"""
STARVED = """if True:
    import tempfile
    from pathlib import Path
    from tests.transcode.sounds import voice, write_wav
    from transcode import TranscodeSettings, transcode
    with tempfile.TemporaryDirectory() as folder:
        recording = write_wav(Path(folder) / "x.wav", voice(1.0))
        try:
            print(transcode(recording, Path(folder), TranscodeSettings()).duration_ms)
        except Exception as error:
            print(type(error).__name__, error)
"""


# Of root the kernel counts no threads. Somebody else may not even read this test, which only root can put right.
USER = 100_000 + os.getpid()
AS_SOMEBODY = (
    "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search",
) if os.getuid() == 0 else ()  # fmt: skip
# Anybody may make the other namespaces in one of these; threads are counted from none there.
IN_A_NAMESPACE = () if os.getuid() == 0 else ("unshare", "--user", "--map-root-user")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60)


def jailed_beside(threads: int) -> "subprocess.CompletedProcess[str]":
    told = orders(("landlock", "seccomp"), [*SILENCE, "-f", "null", "-"], CELL, ())
    told = ["parent=0" if word.startswith("parent=") else word for word in told]
    jailed = [sys.executable, "-I", "-S", str(LAUNCHER), *told]
    shell = ["sh", "-c", BESIDE, "sh", " ".join(AS_SOMEBODY), sys.executable, HOG, str(threads)]
    return run(*IN_A_NAMESPACE, *shell, *jailed)


@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces")
def test_threads_of_the_same_user_in_other_containers_take_none_from_ffmpeg() -> None:
    alone = jailed_beside(threads=0)
    if alone.returncode != 0:
        pytest.skip(f"no namespaces here: {alone.stderr[-300:]}")
    crowded = jailed_beside(threads=200)
    assert crowded.returncode == 0, crowded.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces")
def test_a_sound_recording_is_not_refused_when_there_are_no_threads() -> None:
    outcomes = {}
    for most in (64, 5):
        done = run(*IN_A_NAMESPACE, *AS_SOMEBODY, "prlimit", f"--nproc={most}", sys.executable, "-c", STARVED)
        if done.returncode != 0:
            pytest.skip(f"no namespaces here: {done.stderr[-300:]}")
        outcomes[most] = done.stdout.split(" ")[0].strip()
    assert outcomes == {64: "1000", 5: "JailError"}


def test_a_file_that_leaves_no_memory_for_threads_does_not_wait_for_ever() -> None:
    """Each track has a thread or more, and each thread 8 MiB."""
    finished = run_jailed([*SILENCE, *("-map", "0:a") * 150, "-f", "null", "-"], CELL, "auto")
    with pytest.raises(TranscodeFailed):
        judge_threads(finished, CELL, "auto")


@pytest.mark.parametrize(
    ("release", "by_namespace"),
    [("4.18.0-553.el8_10.x86_64", False), ("5.10.0-23-amd64", False), ("5.14.0", True), ("6.1.0-rc1", True)],
)
def test_old_kernels_count_threads_across_namespaces(release: str, by_namespace: bool) -> None:
    assert _counts_by_namespace(release) is by_namespace
