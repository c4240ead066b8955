"""The bytes that this process has just written to the database, for as long as the last ones may follow soon.

Most uploads in pieces come to one process, over one connection, within seconds: what it wrote it need not read again,
and where all but the last piece are known here, that one need not be written before the message is made.
"""

import threading
import time
from dataclasses import dataclass, field

from storage.uploads import StoredUpload

# Of all uploads together; an upload that is longer than the second is read again.
_BUDGET_BYTES = 32 * 1024 * 1024
_LONGEST_BYTES = 8 * 1024 * 1024
_MOST_UPLOADS = 1000
_SOON_S = 5.0


@dataclass
class _Kept:
    """From the upload's first byte on, without a gap."""

    upload: StoredUpload
    touched: float
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class Recent:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._size = 0

    def add(self, upload: StoredUpload, offset: int, piece: bytes) -> None:
        """Once `piece` is durable behind `offset`, with the upload as it is then. An empty one begins it."""
        with self._lock:
            now = time.monotonic()
            kept = self._kept.setdefault(upload.id, _Kept(upload, now))
            if kept.size != offset or upload.length > _LONGEST_BYTES or not self._has_room(len(piece)):
                self._drop(upload.id)
                return
            kept.upload, kept.touched = upload, now
            kept.pieces.append(piece)
            kept.size += len(piece)
            self._size += len(piece)

    def take(self, upload_id: str, length: int) -> list[bytes] | None:
        """All `length` bytes in order, once; None when some are not here."""
        with self._lock:
            kept = self._drop(upload_id)
        return kept.pieces if kept is not None and kept.size == length else None

    def completed(
        self, upload_id: str, user: str, offset: int, piece: bytes
    ) -> tuple[StoredUpload, list[bytes]] | None:
        """This user's upload as it is without `piece`, and all its bytes, once; None unless `piece` is the last one."""
        with self._lock:
            kept = self._kept.get(upload_id)
            if kept is None or (kept.upload.user_id, kept.size) != (user, offset):
                return None
            if not piece or offset + len(piece) != kept.upload.length:
                return None
            self._drop(upload_id)
        return kept.upload, [*kept.pieces, piece]

    def _has_room(self, size: int) -> bool:
        if self._is_full(size):
            late = time.monotonic() - _SOON_S
            for upload_id in [name for name, kept in self._kept.items() if kept.touched < late]:
                self._drop(upload_id)
        return not self._is_full(size)

    def _is_full(self, size: int) -> bool:
        return self._size + size > _BUDGET_BYTES or len(self._kept) > _MOST_UPLOADS

    def _drop(self, upload_id: str) -> _Kept | None:
        kept = self._kept.pop(upload_id, None)
        self._size -= kept.size if kept else 0
        return kept
