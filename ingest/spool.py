"""Where an upload waits until it is complete: memory, then an unlinked file that dies with the process."""

import asyncio
import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

from storage.errors import StorageFull

# A voice message of usual length never touches the disk; many large uploads together don't fill the memory.
MEMORY_BYTES = 256 * 1024
# What is too long for that goes to its file in steps of this.
STEP_BYTES = 64 * 1024
# Each piece of a few bytes would take many times as much memory.
_MOST_PIECES = 64


class Spool:
    """Counts and hashes what is written. The disk and the hashing of long bodies stay off the event loop."""

    def __init__(self, expected: int = 0) -> None:
        """`expected` bytes that don't fit into memory need not fill it first."""
        self.size = 0
        self._room = MEMORY_BYTES if expected <= MEMORY_BYTES else STEP_BYTES
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._held = 0
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Raises StorageFull when the disk of the temporary folder is."""
        if self._holds(data):
            await asyncio.to_thread(self._flush)

    def write_here(self, data: bytes) -> None:
        """`write` for a thread that may block."""
        if self._holds(data):
            self._flush()

    def _holds(self, data: bytes) -> bool:
        """Whether that is more than the memory is for."""
        self.size += len(data)
        self._held += len(data)
        self._waiting.append(data)
        if len(self._waiting) > _MOST_PIECES:
            self._waiting = [b"".join(self._waiting)]
        return self._held > self._room

    def finish(self) -> str:
        """The SHA-256 in hex; nothing may be written after it."""
        if self._file is None:
            return _sha256(self._waiting)
        self._flush()
        return self._hash.hexdigest()

    def head(self, size: int) -> bytes:
        if self._file is None:
            return _head(self._waiting, size)
        self._file.seek(0)
        return self._file.read(size)

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of it again, `size` bytes at a time."""
        if self._file is not None:
            self._flush()
        source = io.BytesIO(b"".join(self._waiting)) if self._file is None else self._file
        source.seek(0)
        while piece := source.read(size):
            yield piece

    def body(self) -> BinaryIO | list[bytes]:
        return list(self._waiting) if self._file is None else self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        data = b"".join(self._waiting)
        self._hash.update(data)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                self._room = STEP_BYTES
            _write_all(self._file, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull("the disk for uploads in progress is full") from error
            raise
        self._waiting, self._held = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pieces:
    """What a Spool would hold, where it is all in memory already."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.size = sum(map(len, pieces))
        self._pieces = pieces

    def finish(self) -> str:
        """The SHA-256 in hex."""
        return _sha256(self._pieces)

    def head(self, size: int) -> bytes:
        return _head(self._pieces, size)

    def body(self) -> list[bytes]:
        return self._pieces


def _sha256(pieces: list[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _head(pieces: list[bytes], size: int) -> bytes:
    found = b""
    for piece in pieces:
        found += piece[: size - len(found)]
    return found


def _write_all(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file.fileno(), left) :]
