"""Deleting objects so that nothing of them is left: page by page, with all their versions where a bucket keeps them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from storage.errors import StorageUnavailable
from storage.object_client import translated

# What one DeleteObjects call takes.
_BATCH = 1000
# Key, and VersionId where there are versions.
Doomed = dict[str, str]


@dataclass(frozen=True, slots=True)
class Deletion:
    s3: Any
    bucket: str
    versioned: bool

    def keys(self, keys: Iterable[str]) -> None:
        """A missing key is no error."""
        if self.versioned:
            for key in keys:
                self._until_empty(partial(self._versions, key, exact=True))
            return
        rest = iter(keys)
        while batch := [{"Key": key} for key in islice(rest, _BATCH)]:
            self._delete(batch)

    def prefix(self, prefix: str) -> int:
        """How many objects or versions were deleted."""
        return self._until_empty(partial(self._versions if self.versioned else self._objects, prefix))

    def _until_empty(self, listed: Callable[[], list[Doomed]]) -> int:
        """Always the first page: some servers lose their place when the key that it names is deleted."""
        count = 0
        before: list[Doomed] = []
        while page := listed():
            if page == before:
                raise StorageUnavailable(f"S3 says that it deletes {page[0]['Key']}, but keeps it")
            self._delete(page)
            count, before = count + len(page), page
        return count

    def _objects(self, prefix: str) -> list[Doomed]:
        with translated(prefix):
            page = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=_BATCH)
        return [{"Key": found["Key"]} for found in page.get("Contents", ())]

    def _versions(self, prefix: str, *, exact: bool = False) -> list[Doomed]:
        with translated(prefix):
            page = self.s3.list_object_versions(Bucket=self.bucket, Prefix=prefix, MaxKeys=_BATCH)
        return [
            {"Key": found["Key"], "VersionId": found["VersionId"]}
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            if not exact or found["Key"] == prefix
        ]

    def _delete(self, batch: list[Doomed]) -> None:
        with translated(batch[0]["Key"]):
            answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            for refused in answer.get("Errors", ()):
                raise ClientError({"Error": refused}, "DeleteObjects")
