"""Uploads in pieces: created, continued by any process, and made a message when the last byte is there."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from ingest.body import Body
from ingest.checksums import Checksum
from ingest.errors import Refused, too_large
from ingest.executor import Executor
from ingest.finishing import Finisher
from ingest.holds import Hold, Holds
from ingest.original import sniffed
from ingest.quota import Quota
from ingest.recent import Recent
from ingest.spool import Spool
from ingest.turns import NoUpload, Turns, raise_refusal
from storage import idempotency, messages, uploads
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.uploads import NewUpload, NotAccepted, StoredUpload
from transcode import sniff
from transcode.containers import HEAD_BYTES

# A short body that comes at once needs no hold: one transaction takes it.
_QUICK_PAUSE_S = 0.03
_QUICK_S = 0.3
# Where the object store hangs, and all threads with it, bytes are written down all the same.
_STATEMENT_THREADS = 16
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Created:
    upload: StoredUpload
    replayed: bool


class Resumable:
    """For one event loop; what blocks runs in threads, what takes longer in those of `executor`."""

    def __init__(
        self, database: Database, finisher: Finisher, recent: Recent, quota: Quota, executor: Executor
    ) -> None:
        self._database = database
        self._finisher = finisher
        self._recent = recent
        self._quota = quota
        self._executor = executor
        self._statements = Executor(_STATEMENT_THREADS)
        self._holds = Holds(database, self._statements)
        self._turns = Turns(database, self._holds, self._statements)

    def close(self) -> None:
        self._statements.close()

    async def create(self, new: NewUpload, path: str, key: str | None) -> Created:
        """Raises NoThread, NoUpload (what the key made is gone), Refused (`rate_limited`, `idempotency_mismatch`)."""
        create = partial(self._create, new=new, path=path, key=key)
        # To ask whether the sender is in the thread, and to create it, is one statement.
        needed = key is not None or self._quota.counts
        created: Created = await (self._turns.together if needed else self._turns.run)(create)
        if created.replayed:
            return Created(await self.look(created.upload.id, new.user_id), replayed=True)
        self._recent.add(created.upload, 0, b"")
        return created

    async def look(self, upload_id: str, user: str) -> StoredUpload:
        """What is durable of it, after whoever adds to it was told to let go. One that is full becomes its message.

        Raises NoUpload, Refused (`upload_expired`, or what its bytes were refused for), StorageUnavailable.
        """
        upload = await self._turns.seen(upload_id, user)
        if upload.holder is not None:
            await self._turns.free(upload)
            upload = await self._turns.seen(upload_id, user)
        return await self._finished(upload)

    async def terminate(self, upload_id: str, user: str) -> None:
        """Raises NoUpload, Refused (`upload_expired`)."""
        await self._turns.seen(upload_id, user)
        self._recent.forget(upload_id)
        await self._turns.run(partial(uploads.terminate, upload_id=upload_id))

    async def receive(
        self, upload_id: str, user: str, offset: int, body: Body, checksum: Checksum | None = None
    ) -> StoredUpload:
        """Adds the body behind `offset`, as much of it as comes and fits; the last byte makes the message.

        Raises NoUpload, StorageUnavailable, StorageFull and Refused: `offset_conflict`, `too_large`,
        `checksum_mismatch` (nothing was added), `body_timeout`, `upload_expired`, `unsupported_format`.
        """
        if checksum is not None:
            upload = await self._receive_checked(upload_id, user, offset, body, checksum)
        else:
            upload = await self._receive_unchecked(upload_id, user, offset, body)
        if body.state == "idle" and not upload.is_full:
            raise Refused("body_timeout", "the body stopped coming; what came before is kept")
        if body.state == "asked" and not upload.is_full:
            raise Refused("offset_conflict", "another request took this upload over; what came before is kept")
        return await self._finished(upload)

    def _create(self, connection: Connection, new: NewUpload, path: str, key: str | None) -> Created:
        claim = idempotency.Claim(new.user_id, path, key) if key is not None else None
        fingerprint = hashlib.sha256(repr(new).encode()).hexdigest()
        if claim is not None and (finished := idempotency.begin(connection, claim)) is not None:
            if finished.fingerprint != fingerprint:
                raise Refused("idempotency_mismatch", "this Idempotency-Key was used for another upload")
            return Created(_replayed(connection, finished.resource_id, new.user_id), replayed=True)
        # In this order, as an erasure takes them: the participant, then what they used.
        upload = uploads.create(connection, new)
        self._quota.charge_open(connection, new.user_id, new.length)
        if claim is not None:
            idempotency.Once(claim, fingerprint).complete(connection, upload.id)
        return Created(upload, replayed=False)

    async def _receive_unchecked(self, upload_id: str, user: str, offset: int, body: Body) -> StoredUpload:
        begun = b""
        if body.size is not None and body.size <= self._holds.share_bytes():
            begun = await body.read_quickly(_QUICK_PAUSE_S, _QUICK_S)
            if body.state in ("whole", "gone"):
                return await self._receive_begun(upload_id, user, offset, body, begun)
        return await self._receive_held(upload_id, user, offset, body, begun)

    async def _receive_begun(self, upload_id: str, user: str, offset: int, body: Body, piece: bytes) -> StoredUpload:
        """All that will come, in one statement; the last piece of an upload whose others are known here in none."""
        write = partial(self._append, upload_id, user, offset, piece)
        known = self._recent.completed(upload_id, user, offset, piece) if body.state == "whole" else None
        if known is not None:
            try:
                finished: StoredUpload | None = await self._executor.run(self._finisher.finish, *known)
            except (StorageUnavailable, StorageFull):
                # The piece counts all the same.
                upload = await self._turns.written(write, upload_id, user, offset, len(piece))
                await self._statements.run(self._finisher.give_up, upload)
                raise
            if finished is not None:
                return finished
        return await self._turns.written(write, upload_id, user, offset, len(piece))

    async def _receive_held(self, upload_id: str, user: str, offset: int, body: Body, begun: bytes) -> StoredUpload:
        """In as many transactions as the memory that one request may use makes necessary."""
        hold, upload = await self._turns.taken(upload_id, user, offset, body.size or len(begun))
        try:
            with self._holds.listed(hold):
                return await self._receive_pieces(upload, user, body, hold, bytearray(begun))
        except BaseException:
            await self._let_go(hold)
            raise

    async def _receive_pieces(
        self, upload: StoredUpload, user: str, body: Body, hold: Hold, waiting: bytearray
    ) -> StoredUpload:
        while upload.state == "open" and not upload.is_full:
            room = upload.length - upload.received
            while body.state == "coming" and len(waiting) < min(room, self._holds.share_bytes()):
                waiting += await body.read(hold)
            piece, waiting = bytes(waiting[:room]), bytearray()
            more = body.state == "coming"
            upload = await self._add(upload, user, piece, hold, keep=more)
            if not more:
                break
        return upload

    async def _add(self, upload: StoredUpload, user: str, piece: bytes, hold: Hold, *, keep: bool) -> StoredUpload:
        write = partial(self._append, upload.id, user, upload.received, piece, holder=hold.name, keep=keep)
        try:
            return await write()
        except NotAccepted:
            await self._turns.seen(upload.id, user)
            raise Refused("offset_conflict", "another request took this upload over") from None

    async def _receive_checked(
        self, upload_id: str, user: str, offset: int, body: Body, checksum: Checksum
    ) -> StoredUpload:
        """All or nothing, in one transaction: bytes count once their checksum has been seen to be right."""
        hold, upload = await self._turns.taken(upload_id, user, offset, body.size or 0)
        try:
            with self._holds.listed(hold), Spool() as spool:
                await self._fill(spool, body, hold, checksum, room=upload.length - offset)
                if body.state == "whole":
                    write = partial(self._append_spooled, upload_id, user, offset, spool, hold.name)
                    upload = await self._turns.written(write, upload_id, user, offset, spool.size)
                return upload
        finally:
            await self._let_go(hold)

    async def _let_go(self, hold: Hold) -> None:
        """Where storage is away the next one has to pass this holder over."""
        with suppress(StorageUnavailable, StorageFull):
            await self._turns.run(partial(uploads.let_go, upload_id=hold.upload_id, holder=hold.name))

    async def _fill(self, spool: Spool, body: Body, hold: Hold, checksum: Checksum, room: int) -> None:
        hasher = checksum.hasher()
        while body.state == "coming":
            piece = await body.read(hold)
            hasher.update(piece)
            await spool.write(piece)
            if spool.size > room:
                raise too_large(room)
        if body.state == "whole":
            checksum.compare(hasher)

    async def _append(
        self, upload_id: str, user: str, offset: int, piece: bytes, *, holder: str | None = None, keep: bool = False
    ) -> StoredUpload:
        """One statement, unless what came so far may turn out to be no recording."""

        add = uploads.append(upload_id, user, offset, piece, holder=holder, keep=keep)
        if offset >= HEAD_BYTES or (offset == 0 and len(piece) >= HEAD_BYTES and sniff(piece)):
            upload = await self._database.ask(add)
        else:
            upload = await self._turns.together(lambda connection: _looked_at(connection, add.on(connection), offset))
        self._recent.add(upload, offset, piece)
        return upload

    async def _append_spooled(self, upload_id: str, user: str, offset: int, spool: Spool, holder: str) -> StoredUpload:
        def add(connection: Connection) -> StoredUpload:
            at, end = offset, offset + spool.size
            for piece in spool.pieces(_PIECE_BYTES) if spool.size else [b""]:
                keep = at + len(piece) < end
                upload = uploads.append(upload_id, user, at, piece, holder=holder, keep=keep).on(connection)
                at += len(piece)
            return _looked_at(connection, upload, offset)

        return await self._turns.together(add)

    async def _finished(self, upload: StoredUpload) -> StoredUpload:
        raise_refusal(upload)
        if upload.state == "open" and upload.is_full:
            upload = await self._finish(upload) or await self._turns.seen(upload.id, upload.user_id)
            raise_refusal(upload)
        return upload

    async def _finish(self, upload: StoredUpload) -> StoredUpload | None:
        try:
            return await self._executor.run(self._finisher.finish, upload)
        except BaseException:
            await self._statements.run(self._finisher.give_up, upload)
            raise


def _replayed(connection: Connection, upload_id: str, user: str) -> StoredUpload:
    upload = _existing(connection, upload_id, user)
    if upload.message_id is not None and messages.is_deleted(connection, upload.message_id):
        raise NoUpload
    return upload


def _existing(connection: Connection, upload_id: str, user: str) -> StoredUpload:
    upload = uploads.get(connection, upload_id, user, "tus")
    if upload is None:
        raise NoUpload
    return upload


def _looked_at(connection: Connection, upload: StoredUpload, offset: int) -> StoredUpload:
    """What is no recording ends when its head is there, before the rest of it is sent."""
    has_head = upload.received >= min(HEAD_BYTES, upload.length)
    if offset >= HEAD_BYTES or offset == upload.received or not has_head:
        return upload
    try:
        sniffed(uploads.head(connection, upload.id, HEAD_BYTES))
    except Refused as error:
        uploads.refuse(connection, upload.id, error.code, error.message)
        return replace(upload, state="refused", error_code=error.code, error_message=error.message)
    return upload
