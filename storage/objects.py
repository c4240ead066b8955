"""The one object store: S3, or whatever speaks it, through boto3."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from storage.object_client import ObjectClients, code_of, translated
from storage.object_deletion import Deletion
from storage.object_requests import ShortRequests
from storage.object_stream import ObjectStream
from storage.presign import base64_digest, download_headers, sign, upload_headers
from storage.settings import StorageSettings
from storage.wire import Body


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`size` in bytes; `content_type` is None in listings, which don't tell it."""

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str | None = None


class ObjectStore:
    """Objects of one bucket; connects at first use, safe to share between threads.

    Every method raises StorageUnavailable when S3 can't be reached, refuses us or fails itself (the same call may work
    later), and StorageFull when it says that it has no room.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._bucket = settings.s3_bucket
        self._region = settings.s3_region
        self._clients = ObjectClients(settings)
        self._short = ShortRequests(self._clients, settings.s3_region)

    def put(
        self,
        key: str,
        body: Body,
        *,
        size: int,
        content_type: str,
        sha256: str | None = None,
    ) -> None:
        """One PUT of `size` bytes, durable when this returns; ValueError when the body is not that long.

        A file is read from its start and must be seekable, since a retry reads it again; `sha256` (hex) lets S3 check
        what arrived.
        """
        if _length(body) != size:
            raise ValueError(f"the body of {key} is not {size} bytes long")
        checksum = {"ChecksumSHA256": base64_digest(sha256)} if sha256 else {}
        with translated(key):
            if sha256 and self._short.put(self._bucket, key, body, size=size, content_type=content_type, sha256=sha256):
                return
            stream = _stream_of(body)
            stream.seek(0)
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=stream,
                ContentLength=size,
                ContentType=content_type,
                **checksum,
            )

    async def put_soon(self, key: str, body: Sequence[bytes], *, size: int, content_type: str, sha256: str) -> bool:
        """One try of `put` without a thread, for what is in memory; all calls come from one event loop. Whether the
        object is there, durable; where not `put` says why, or can do it."""
        with translated(key):
            return await self._short.put_soon(
                self._bucket, key, body, size=size, content_type=content_type, sha256=sha256
            )

    def close(self) -> None:
        """Of what `put_soon` left open, in its event loop."""
        self._short.close()

    def copy(self, source: str, key: str, *, content_type: str) -> None:
        """Copies an object inside the store; raises ObjectMissing."""
        with translated(source):
            self._s3.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource={"Bucket": self._bucket, "Key": source},
                ContentType=content_type,
                MetadataDirective="REPLACE",
            )

    def get(self, key: str, byte_range: tuple[int, int] | None = None) -> ObjectStream:
        """The object's bytes, or those from the first to the last (inclusive, cut at the object's end) of `byte_range`.

        Raises ObjectMissing, and ValueError for a range that begins after the end.
        """
        wanted = {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"} if byte_range else {}
        with translated(key):
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, **wanted)
        return _stream(answer, byte_range)

    def read(self, key: str) -> bytes:
        """All of an object that is small enough for memory; raises ObjectMissing."""
        with translated(key):
            content = self._short.get(self._bucket, key)
        if content is not None:
            return content
        with self.get(key) as stream:
            return stream.read()

    def download(self, key: str, path: Path) -> None:
        """The object's bytes into a file; raises ObjectMissing. After an error the file is incomplete."""
        with self.get(key) as stream, path.open("wb") as file:
            for chunk in stream:
                file.write(chunk)

    def head(self, key: str) -> ObjectInfo | None:
        """None when there is no such object; a missing bucket is StorageUnavailable, not a missing object."""
        with translated(key):
            try:
                answer = self._s3.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in ("404", "NoSuchKey"):
                    raise
                self._s3.head_bucket(Bucket=self._bucket)
                return None
        return ObjectInfo(
            key, answer["ContentLength"], answer["ETag"], answer["LastModified"], answer.get("ContentType")
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in the order of keys, read page by page."""
        with translated(prefix):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    yield ObjectInfo(found["Key"], found["Size"], found.get("ETag", ""), found["LastModified"])

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes these objects, in a bucket with versions all of their versions; a missing one is no error."""
        self._deletion().keys(keys)

    def delete_prefix(self, prefix: str) -> int:
        """Deletes all, every version too, under a prefix that ends with a slash; returns how many they were."""
        if not prefix.endswith("/") or prefix == "/":
            raise ValueError(f"not a folder-like prefix: {prefix!r}")
        return self._deletion().prefix(prefix)

    def presign_get(self, key: str, *, expires_at: datetime, content_type: str, filename: str | None = None) -> str:
        """A URL at the public endpoint that reads the object until `expires_at` and says that it is `content_type`.

        Within a step of 5 minutes the same arguments give the same URL. With `filename` browsers save instead of play.
        """
        return self._signed("get_object", key, download_headers(content_type, filename), {}, expires_at)

    def presign_put(
        self, key: str, *, ttl: timedelta, size: int, content_type: str, sha256: str | None = None
    ) -> tuple[str, dict[str, str]]:
        """A URL at the public endpoint, and the headers that must go with it: they bind the sender to size and type."""
        headers = upload_headers(size, content_type, sha256)
        return self._signed("put_object", key, {}, headers, datetime.now(UTC) + ttl), headers

    def public_origin(self) -> str:
        """Where every signed URL leads to: scheme, host and port, as a browser names an origin."""
        parts = urlsplit(self._plain("get_object", {"Key": "any"}))
        return f"{parts.scheme}://{parts.netloc}"

    def ensure_bucket(self) -> None:
        """Makes the bucket unless it is there."""
        place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        with translated(self._bucket):
            try:
                self._s3.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if code_of(error) != "404":
                    raise
                configuration = {"CreateBucketConfiguration": place} if place else {}
                self._create_bucket(configuration)

    def ping(self, timeout: float) -> None:
        """Returns when the bucket answers; one try of at most `timeout` seconds to connect and again to answer."""
        with translated(self._bucket):
            self._clients.probe(timeout).head_bucket(Bucket=self._bucket)

    def versioning(self) -> Literal["enabled", "suspended", "off", "unknown"]:
        """Whether deleted objects live on as versions; unknown when the server doesn't say or doesn't let us ask."""
        with translated(self._bucket):
            try:
                answer = self._s3.get_bucket_versioning(Bucket=self._bucket)
            except ClientError as error:
                if code_of(error) in ("NotImplemented", "AccessDenied", "MethodNotAllowed"):
                    return "unknown"
                raise
        status = answer.get("Status", "off").lower()
        return status if status in ("enabled", "suspended") else "off"

    def object_lock(self) -> bool:
        """Whether the bucket can keep objects from being deleted; False too where the server doesn't know of locks."""
        with translated(self._bucket):
            try:
                answer = self._s3.get_object_lock_configuration(Bucket=self._bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 and code_of(error) != ("NotImplemented"):
                    raise
                return False
        locked: str | None = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        return locked == "Enabled"

    @property
    def _s3(self) -> Any:
        return self._clients.main

    def _signed(
        self,
        operation: str,
        key: str,
        parameters: dict[str, str],
        headers: dict[str, str],
        expires_at: datetime,
    ) -> str:
        """The library writes the plain URL in the endpoint's style, then `sign` signs it with a date of our choice."""
        with translated(key):
            plain = self._plain(operation, {"Key": key, **parameters})
            method = "PUT" if operation == "put_object" else "GET"
            credentials = self._clients.credentials()
            return sign(method, plain, headers, credentials=credentials, region=self._region, expires_at=expires_at)

    def _plain(self, operation: str, parameters: dict[str, str]) -> str:
        url: str = self._clients.public.generate_presigned_url(operation, Params={"Bucket": self._bucket, **parameters})
        return url

    def _deletion(self) -> Deletion:
        return Deletion(self._s3, self._bucket, versioned=self.versioning() in ("enabled", "suspended"))

    def _create_bucket(self, configuration: dict[str, Any]) -> None:
        try:
            self._s3.create_bucket(Bucket=self._bucket, **configuration)
        except ClientError as error:
            # Another process of ours was quicker; a bucket of somebody else shows at the next request.
            if code_of(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise


def _length(body: Body) -> int:
    if isinstance(body, bytes):
        return len(body)
    return sum(map(len, body)) if isinstance(body, list) else body.seek(0, io.SEEK_END)


def _stream_of(body: Body) -> BinaryIO:
    if isinstance(body, list):
        body = b"".join(body)
    return io.BytesIO(body) if isinstance(body, bytes) else body


def _stream(answer: dict[str, Any], byte_range: tuple[int, int] | None) -> ObjectStream:
    """Some servers ignore Range and send all, others answer a part with status 200: Content-Range decides."""
    length: int = answer["ContentLength"]
    first, last, total, skip = 0, length - 1, length, 0
    if "ContentRange" in answer:
        span, _, whole = answer["ContentRange"].removeprefix("bytes ").partition("/")
        first, last = (int(edge) for edge in span.split("-"))
        total = int(whole)
    elif byte_range:
        first, last, skip = byte_range[0], min(byte_range[1], length - 1), byte_range[0]
    if byte_range and (first != byte_range[0] or first >= total):
        answer["Body"].close()
        raise ValueError(f"the range {byte_range} is not inside an object of {total} bytes")
    return ObjectStream(
        answer["Body"],
        skip=skip,
        size=last - first + 1,
        total=total,
        content_type=answer.get("ContentType", "application/octet-stream"),
        etag=answer.get("ETag", ""),
    )
