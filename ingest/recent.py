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
            self._drop_before(now - _SOON_S)
            kept = self._kept.pop(upload.id, None) or _Kept(upload, now)
            self._size -= kept.size
            is_next = kept.size == offset and upload.state == "open"
            if not is_next or not self._has_room(upload, kept.size + len(piece)):
                return
            kept.upload, kept.touched = upload, now
            kept.pieces.append(piece)
            kept.size += len(piece)
            # Behind those that were touched before.
            self._kept[upload.id] = kept
            self._size += kept.size

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

    def forget(self, upload_id: str) -> None:
        with self._lock:
            self._drop(upload_id)

    def _drop_before(self, moment: float) -> None:
        while self._kept and next(iter(self._kept.values())).touched < moment:
            self._drop(next(iter(self._kept)))

    def _has_room(self, upload: StoredUpload, size: int) -> bool:
        fits = upload.length <= _LONGEST_BYTES and self._size + size <= _BUDGET_BYTES
        return fits and len(self._kept) < _MOST_UPLOADS

    def _drop(self, upload_id: str) -> _Kept | None:
        kept = self._kept.pop(upload_id, None)
        self._size -= kept.size if kept else 0
        return kept
