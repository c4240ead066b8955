"""One voice message from a received body to a durable row: promise 1 is kept here.

The object's key is declared before its PUT and settled in the transaction that makes the message, so whatever
dies in between leaves nothing behind and loses nothing that was answered with success.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from ingest.errors import Refused
from ingest.original import INTENT_TTL_S, Named, Upload, arrival, expectation, sniffed
from ingest.quota import Quota
from ingest.spool import MEMORY_BYTES, Pieces, Spool
from storage import events, idempotency, intents, messages, reservations, threads
from storage.bell import Teller
from storage.database import Database
from storage.errors import NoThread, ObjectSwept, StorageFull, StorageUnavailable
from storage.ids import new_id, randomness_of
from storage.keys import object_key
from storage.objects import ObjectStore
from storage.usage import Allowance
from transcode import Container
from transcode.containers import HEAD_BYTES

log = logging.getLogger(__name__)
# What else happens in the transaction that makes the message, given its id; what this raises undoes it.
Settle = Callable[[Connection, str], None]


@dataclass(frozen=True)
class Accepted:
    """`message` is None when it was made by an earlier request and is gone now."""

    message: messages.Message | None
    status: int
    replayed: bool


class Intake:
    """Safe to share between threads; its methods block."""

    def __init__(self, database: Database, store: ObjectStore, prefix: str, quota: Quota) -> None:
        self._database = database
        self._store = store
        self._prefix = prefix
        self._quota = quota
        self._teller = Teller(database, events.CHANNEL)

    def close(self) -> None:
        self._teller.close()

    @staticmethod
    def asks_first(size: int | None) -> bool:
        """Whether `begin` comes before the body: to hear of a refusal early saves a sender nothing of a short one."""
        return size is None or size > MEMORY_BYTES

    def begin(self, upload: Upload, size: int | None = None) -> idempotency.Finished | None:
        """`size` is what the body claims to be, if it does. Raises NoThread, Refused (`rate_limited`), and
        InProgress when another request has the same key."""
        with self._database.transaction() as connection:
            if not threads.has_member(connection, upload.thread_id, upload.sender):
                raise NoThread
            finished = None if upload.claim is None else idempotency.begin(connection, upload.claim)
            if finished is None:
                self._quota.foresee(connection, upload.sender, size)
            return finished

    def accept(self, upload: Upload, spool: Spool, finished: idempotency.Finished | None) -> Accepted:
        """After `begin`. Raises Refused (`unsupported_format`, `idempotency_mismatch`, `rate_limited`), NoThread,
        InProgress when another request took over, StorageUnavailable and StorageFull."""
        sha256 = spool.finish()
        if finished is not None:
            return self._replay(upload, upload.fingerprint(sha256), finished)
        once = upload.once(sha256)
        message = self.keep(upload, spool, sha256, None if once is None else once.complete, self._quota.allowance)
        return Accepted(message, 201, replayed=False)

    def keep(
        self,
        upload: Upload,
        spool: Spool | Pieces,
        sha256: str,
        settle: Settle | None,
        allowance: Allowance | None = None,
    ) -> messages.Message:
        """A finished spool becomes a message, counted against the `allowance` if one is given; raises as `accept` does,
        and what `settle` raises."""
        named = self.named(new_id("msg"), spool, sha256, sniffed(spool.head(HEAD_BYTES)))
        with self._database.writing() as connection:
            # Nothing is put that would be refused then.
            if not expectation(upload, named, allowance).on(connection):
                raise self._why_not(connection, upload, spool.size)
        self._store.put(
            named.original.object_key, spool.body(), size=spool.size, content_type=named.content_type, sha256=sha256
        )
        return self.commit(upload, named.message_id, named.original, settle, allowance)

    def named(self, message_id: str, recording: Spool | Pieces, sha256: str, container: Container) -> Named:
        key = self._original_key(message_id, sha256, container)
        return Named(message_id, messages.Original(key, recording.size, sha256, container.name), container.mime_type)

    def declare_original(self, message_id: str, sha256: str, container: Container, *, sender: str | None = None) -> str:
        """The key under which the original may now be put."""
        key = self._original_key(message_id, sha256, container)
        with self._database.writing() as connection:
            intents.declare(connection, message_id, [key], ttl_s=INTENT_TTL_S, sender=sender)
        return key

    def _original_key(self, message_id: str, sha256: str, container: Container) -> str:
        return object_key(self._prefix, message_id, "original", sha256, container.extension)

    def commit(
        self,
        upload: Upload,
        message_id: str,
        original: messages.Original,
        settle: Settle | None,
        allowance: Allowance | None = None,
    ) -> messages.Message:
        """Where the database is away the sweep finds the original when its intent runs out; else it is given up."""
        try:
            message = self._commit(upload, message_id, original, settle, allowance)
        except Exception as error:
            if came_to_nothing(error):
                self.give_up(message_id, original.object_key, upload.sender)
            raise
        self.tell()
        return message

    def tell(self) -> None:
        """Whoever listens for events, of what was committed."""
        self._teller.tell()

    def give_up(self, message_id: str, key: str, sender: str) -> None:
        """For an original that came to nothing, by whatever it was put; the sweep looks whether it did."""
        try:
            with self._database.transaction() as connection:
                intents.withdraw(connection, message_id, [key], sender=sender)
                reservations.release([randomness_of(message_id)]).on(connection)
        except (StorageUnavailable, StorageFull):
            log.warning("an original that is not used stays until its intent or reservation runs out")

    def _commit(
        self,
        upload: Upload,
        message_id: str,
        original: messages.Original,
        settle: Settle | None,
        allowance: Allowance | None,
    ) -> messages.Message:
        arriving = arrival(upload, message_id, original, allowance)
        with self._database.transaction() if settle else self._database.writing() as connection:
            message = arriving.on(connection)
            if message is None:
                raise self._why_not(connection, upload, original.size)
            if settle is not None:
                settle(connection, message_id)
        return message

    def _why_not(self, connection: Connection, upload: Upload, size: int) -> Exception:
        """Why a statement wrote nothing; raises Refused (`rate_limited`)."""
        if not threads.has_member(connection, upload.thread_id, upload.sender):
            return NoThread()
        self._quota.foresee(connection, upload.sender, size)
        return ObjectSwept("the original was swept before anything referred to it")

    def _replay(self, upload: Upload, fingerprint: str, finished: idempotency.Finished) -> Accepted:
        if fingerprint != finished.fingerprint:
            raise Refused("idempotency_mismatch", "this Idempotency-Key was used for another recording")
        with self._database.transaction() as connection:
            message = messages.get(connection, finished.resource_id, upload.sender)
        return Accepted(message, finished.status, replayed=True)


def came_to_nothing(error: Exception) -> bool:
    """Whether the original of a message that this prevented is to be given up: where the database is away nobody knows,
    and one that was swept may have been put after that."""
    return isinstance(error, ObjectSwept) or not isinstance(error, StorageUnavailable | StorageFull)
