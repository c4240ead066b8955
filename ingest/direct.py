"""Uploads that go from the client straight to S3.

The client may write to its upload key for as long as its URL lives, also after we have looked. So the object is first
copied to a key that only we know, and everything that is checked, and all that is used, is the copy.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from ingest.errors import Refused
from ingest.original import Upload, sniffed
from ingest.quota import Quota
from ingest.turns import NoUpload, raise_refusal
from ingest.voice import Intake
from storage import messages, uploads
from storage.database import Database
from storage.errors import ObjectMissing, StorageUnavailable
from storage.ids import new_id
from storage.jobs import Queue
from storage.keys import upload_key
from storage.messages import Message, Original
from storage.object_stream import ObjectStream
from storage.objects import ObjectStore
from storage.uploads import URL_TTL, NewUpload, NotAccepted, StoredUpload
from transcode.containers import HEAD_BYTES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grant:
    """How the client puts its bytes; `headers` must be sent as they are."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class Completed:
    """`again` says that an earlier call has made the message."""

    message: Message
    again: bool


@dataclass(frozen=True)
class Seen:
    """What bytes turned out to be: `size` of them, their digest in hex, and how they begin."""

    size: int
    sha256: str
    head: bytes


class Direct:
    """Safe to share between threads; its methods block. `ring` is told the queue that has work."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        intake: Intake,
        quota: Quota,
        *,
        prefix: str,
        ring: Callable[[Queue], None],
    ) -> None:
        self._database = database
        self._store = store
        self._intake = intake
        self._quota = quota
        self._prefix = prefix
        self._ring = ring

    def begin(self, connection: Connection, new: NewUpload) -> str:
        """The new upload's id; raises Refused (`rate_limited`)."""
        upload = uploads.create(connection, new)
        self._quota.charge_open(connection, new.user_id, new.length)
        return upload.id

    def grant(self, connection: Connection, upload_id: str, user: str) -> Grant:
        """A fresh URL; raises NoUpload, Refused."""
        upload = _usable(uploads.get(connection, upload_id, user, "direct"))
        uploads.url_given(connection, upload_id)
        url, headers = self._store.presign_put(
            upload_key(self._prefix, upload_id),
            ttl=URL_TTL,
            size=upload.length,
            content_type=upload.content_type or "application/octet-stream",
            sha256=upload.sha256,
        )
        return Grant(url, headers, datetime.now(UTC) + URL_TTL)

    def complete(self, upload_id: str, user: str) -> Completed:
        """Raises NoUpload (also when its message was deleted), StorageUnavailable, and Refused: `upload_expired`,
        `invalid_request` (nothing was put, or not as much as was announced), `checksum_mismatch`, `unsupported_format`.

        After a refusal the client may put other bytes and complete again.
        """
        with self._database.transaction() as connection:
            upload = _usable(uploads.get(connection, upload_id, user, "direct"))
        if upload.state == "finished":
            return self._existing(upload)
        try:
            message = self._make_message(upload)
        except (NotAccepted, Refused):
            # Another call may have been quicker, and cleared away what this one was looking at.
            if self._finished(upload):
                return self._existing(upload)
            raise
        self._ring("media")
        self._clear(upload)
        return Completed(message, again=False)

    def _make_message(self, upload: StoredUpload) -> Message:
        source, message_id = upload_key(self._prefix, upload.id), new_id("msg")
        try:
            with self._store.get(source) as stream:
                promised = _seen(stream, upload.length)
            container = sniffed(promised.head)
            key = self._intake.declare_original(message_id, promised.sha256, container, sender=upload.user_id)
            self._store.copy(source, key, content_type=container.mime_type)
            return self._accept(upload, message_id, key, promised)
        except ObjectMissing as error:
            raise Refused("invalid_request", "nothing was put at the upload's URL") from error

    def _accept(self, upload: StoredUpload, message_id: str, key: str, promised: Seen) -> Message:
        try:
            with self._store.get(key) as stream:
                kept = _seen(stream, upload.length)
            _check(upload, kept, promised)
            original = Original(key, kept.size, kept.sha256, sniffed(kept.head).name)
            voice = Upload(upload.thread_id, upload.user_id, upload.language, upload.external_id)
            return self._intake.commit(
                voice, message_id, original, lambda connection, made: uploads.finish(connection, upload, made)
            )
        except Exception:
            self._intake.give_up(message_id, key, upload.user_id)
            raise

    def _clear(self, upload: StoredUpload) -> None:
        """At once, as a courtesy; the reaper does it again when nobody can write there any more."""
        try:
            self._store.delete([upload_key(self._prefix, upload.id)])
        except StorageUnavailable:
            log.warning("an upload's object stays until it is swept")

    def _finished(self, upload: StoredUpload) -> bool:
        with self._database.transaction() as connection:
            now = uploads.get(connection, upload.id, upload.user_id, "direct")
        return now is not None and now.state == "finished"

    def _existing(self, upload: StoredUpload) -> Completed:
        with self._database.transaction() as connection:
            now = _usable(uploads.get(connection, upload.id, upload.user_id, "direct"))
            message = messages.get(connection, now.message_id or "", upload.user_id)
        if message is None:
            raise NoUpload
        return Completed(message, again=True)


def _usable(upload: StoredUpload | None) -> StoredUpload:
    if upload is None:
        raise NoUpload
    if upload.expired:
        raise Refused("upload_expired", "this upload was not completed in time: begin again")
    raise_refusal(upload)
    return upload


def _seen(stream: ObjectStream, announced: int) -> Seen:
    if stream.size != announced:
        raise Refused("invalid_request", f"{announced} bytes were announced, and {stream.size} were put")
    digest, head = hashlib.sha256(), bytearray()
    for chunk in stream:
        digest.update(chunk)
        head += chunk[: HEAD_BYTES - len(head)]
    return Seen(stream.size, digest.hexdigest(), bytes(head))


def _check(upload: StoredUpload, kept: Seen, promised: Seen) -> None:
    if upload.sha256 not in (None, kept.sha256):
        raise Refused("checksum_mismatch", "what was put has not the SHA-256 that was announced")
    if kept.sha256 != promised.sha256:
        raise Refused("checksum_mismatch", "the object changed while it was copied: put it again and complete again")
