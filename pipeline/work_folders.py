"""Folders that hold somebody's voice while a job is worked on, and that nothing may leave behind.

Who works holds a lock on the folder, which the system lets go of when that process dies, however it does: what nobody
holds was left by one that was killed.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)
_PREFIX = "earshot-job-"


@contextmanager
def work_folder() -> Iterator[Path]:
    """An empty one, for this user only, gone with all that is in it at the end."""
    folder, held = _made()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def clear_left() -> int:
    """Removes what killed workers of this user left on this machine; returns how many folders they were."""
    left = [folder for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*") if _cleared(folder)]
    if left:
        log.warning("removed %d folders of workers that were killed", len(left))
    return len(left)


def _made() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Before it is held it may look like one that was left.
        with suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)


def _cleared(folder: Path) -> bool:
    with suppress(OSError):
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(held).st_uid == os.geteuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                return True
        finally:
            os.close(held)
    return False
