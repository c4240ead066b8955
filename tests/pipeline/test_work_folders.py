"""Nobody's voice stays in a folder of a worker that is gone, and none is taken away from one that works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.work_folders import clear_left, work_folder

HOLDER = """
import time
from pipeline.work_folders import work_folder
with work_folder() as folder:
    (folder / "original").write_bytes(b"a voice")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    return tmp_path


@pytest.fixture
def other(temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
    )


def test_a_folder_is_its_users_alone_and_goes_with_all_that_is_in_it(temporary: Path) -> None:
    with work_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "out").mkdir()
        (folder / "out" / "original").write_bytes(b"a voice")
        assert clear_left() == 0
        assert (folder / "out" / "original").exists()
    assert not list(temporary.iterdir())


def test_it_goes_also_when_the_work_fails(temporary: Path) -> None:
    with pytest.raises(KeyError), work_folder():
        raise KeyError
    assert not list(temporary.iterdir())


def test_what_was_left_by_a_killed_process_is_removed_and_no_sooner(
    temporary: Path, other: subprocess.Popen[str]
) -> None:
    assert other.stdout is not None
    with other, other.stdout:
        left = Path(other.stdout.readline().strip())
        with work_folder() as mine:
            assert clear_left() == 0
            assert (left / "original").exists()
            other.send_signal(signal.SIGKILL)
            other.wait()
            assert clear_left() == 1
            assert list(temporary.iterdir()) == [mine]


def test_what_only_looks_like_one_is_left_alone(temporary: Path) -> None:
    elsewhere = temporary / "voices"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    (temporary / "earshot-job-link").symlink_to(elsewhere)
    (temporary / "earshot-job-file").touch()
    assert clear_left() == 0
    assert {each.name for each in temporary.iterdir()} == {"voices", "earshot-job-link", "earshot-job-file"}
    assert (elsewhere / "mine").exists()
