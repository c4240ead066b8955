"""The bytes of one object on their way from S3."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from storage.errors import StorageUnavailable

CHUNK = 256 * 1024


class ObjectStream:
    """Iterates over exactly `size` bytes in chunks; a connection that ends before them raises StorageUnavailable.

    `size` is what this stream yields, `total` the whole object's size. Use it as a context manager: leaving before the
    end drops the connection.
    """

    def __init__(self, body: Any, *, skip: int, size: int, total: int, content_type: str, etag: str) -> None:
        self.size = size
        self.total = total
        self.content_type = content_type
        self.etag = etag
        self._body = body
        self._skip = skip
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._next()[: self._left]
            if chunk:
                self._left -= len(chunk)
                yield chunk

    def read(self) -> bytes:
        return b"".join(self)

    def _next(self) -> bytes:
        """The next bytes from the network, without those before the asked range."""
        try:
            chunk: bytes = self._body.read(min(CHUNK, self._skip + self._left))
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StorageUnavailable(f"S3 broke off in the middle of an object: {error}") from error
        if not chunk:
            raise StorageUnavailable(f"S3 ended {self._left} bytes before the end of an object")
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        return chunk[skipped:]

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
