"""The bytes that this process has just written to the database, for as long as the last ones may follow soon.

Most uploads in pieces come to one process, over one connection, within seconds: what it wrote it need not read again.
"""

import threading
import time
from dataclasses import dataclass, field

from storage.uploads import StoredUpload

# Of all uploads together; an upload that is longer than the second is read again.
_BUDGET_BYTES = 32 * 1024 * 1024
_LONGEST_BYTES = 8 * 1024 * 1024
_SOON_S = 5.0


@dataclass
class _Kept:
    """From the upload's first byte on, without a gap."""

    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    touched: float = 0.0


class Recent:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._size = 0

    def add(self, upload: StoredUpload, offset: int, piece: bytes) -> None:
        """Once `piece` is durable behind `offset`."""
        with self._lock:
            kept = self._kept.setdefault(upload.id, _Kept())
            if kept.size != offset or upload.length > _LONGEST_BYTES or not self._has_room(len(piece)):
                self._drop(upload.id)
                return
            kept.pieces.append(piece)
            kept.size += len(piece)
            kept.touched = time.monotonic()
            self._size += len(piece)

    def take(self, upload_id: str, length: int) -> list[bytes] | None:
        """All `length` bytes in order, once; None when some are not here."""
        with self._lock:
            kept = self._drop(upload_id)
        return kept.pieces if kept is not None and kept.size == length else None

    def _has_room(self, size: int) -> bool:
        if self._size + size > _BUDGET_BYTES:
            late = time.monotonic() - _SOON_S
            for upload_id in [name for name, kept in self._kept.items() if 0 < kept.touched < late]:
                self._drop(upload_id)
        return self._size + size <= _BUDGET_BYTES

    def _drop(self, upload_id: str) -> _Kept | None:
        kept = self._kept.pop(upload_id, None)
        self._size -= kept.size if kept else 0
        return kept
