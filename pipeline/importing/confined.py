"""Opening a file that a manifest names, and nothing outside the manifest's folder."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ingest.errors import Refused


def open_within(root: Path, name: str) -> BinaryIO:
    """Raises Refused (`outside`, `not_found`, `not_a_file`) and OSError.

    Links are followed first, to a path without any. Each step of that is then taken without following links, so that
    nobody can put one in its way meanwhile.
    """
    real_root = Path(os.path.realpath(root))
    steps = _steps(real_root, name)
    folder = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for step in steps[:-1]:
            deeper = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        # Without O_NONBLOCK a named pipe would hold us up.
        return _regular(os.open(steps[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder))
    except FileNotFoundError:
        raise Refused("not_found", "there is no such file") from None
    finally:
        os.close(folder)


def _steps(root: Path, name: str) -> tuple[str, ...]:
    if "\0" in name or os.path.isabs(name) or ".." in Path(name).parts:
        raise _outside()
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(root):
        raise _outside()
    if path == root:
        raise _no_file()
    return path.relative_to(root).parts


def _regular(fd: int) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _no_file()
    return os.fdopen(fd, "rb", buffering=0)


def _outside() -> Refused:
    return Refused("outside", "the path leads out of the folder of the manifest")


def _no_file() -> Refused:
    return Refused("not_a_file", "the path names no file")
