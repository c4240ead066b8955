"""A short recording: a PUT and one statement, and no thread for them.

It is put by a slot that was reserved ahead, before anybody asked whether its sender may: the one statement that makes
the message, and the result of its Idempotency-Key, refuses who may not and what was sent before. Who was refused or
repeats something is asked first for a while, so that they can't have us put anything again and again. What goes another
way than most do is given to `Intake`, which says why, or what was made before.
"""

import time
from collections import OrderedDict
from functools import partial

from ingest.executor import Executor
from ingest.original import Named, Upload, arrival
from ingest.quota import Quota
from ingest.reserved import ReservedIds
from ingest.spool import Spool
from ingest.voice import Accepted, Intake, came_to_nothing
from storage.database import Database
from storage.errors import ObjectSwept, StorageFull, StorageUnavailable
from storage.idempotency import LOST
from storage.messages import Message
from storage.objects import ObjectStore
from transcode import sniff
from transcode.containers import HEAD_BYTES

_DOUBTED_S = 60.0
_MOST_DOUBTED = 10_000


class ShortIntake:
    """For one event loop."""

    def __init__(
        self, database: Database, store: ObjectStore, intake: Intake, quota: Quota, executor: Executor
    ) -> None:
        self._database = database
        self._store = store
        self._intake = intake
        self._quota = quota
        self._executor = executor
        self._ids = ReservedIds(database)
        # Senders for whom nothing was made, with the moment until which they are doubted; the first to be trusted again
        # first.
        self._doubted: OrderedDict[str, float] = OrderedDict()

    async def close(self) -> None:
        await self._ids.close()

    async def accept(self, upload: Upload, spool: Spool) -> Accepted:
        """`Intake.begin` and `Intake.accept` for what is in memory; raises what they do."""
        try:
            message = await self._at_once(upload, spool)
        except (StorageUnavailable, StorageFull) as error:
            return await self._replayed(upload, spool, error)
        if message is None:
            return await self._carefully(upload, spool)
        self._intake.tell()
        return Accepted(message, 201, replayed=False)

    async def _at_once(self, upload: Upload, spool: Spool) -> Message | None:
        """None where this is not the way to it."""
        container, sha256 = sniff(spool.head(HEAD_BYTES)), spool.finish()
        if container is None or self._doubts(upload.sender) or (message_id := await self._ids.take()) is None:
            return None
        named = self._intake.named(message_id, spool, sha256, container)
        await self._put(named, spool)
        return await self._commit(upload, named)

    async def _replayed(self, upload: Upload, spool: Spool, error: Exception) -> Accepted:
        """What was made before needs no object store; raises the error that keeps others from being made."""
        if upload.claim is not None:
            finished = await self._executor.run(self._intake.begin, upload, spool.size)
            if finished is not None:
                return await self._executor.run(self._intake.accept, upload, spool, finished)
        raise error

    async def _carefully(self, upload: Upload, spool: Spool) -> Accepted:
        finished = await self._executor.run(self._intake.begin, upload, spool.size)
        return await self._executor.run(self._intake.accept, upload, spool, finished)

    def _doubts(self, sender: str) -> bool:
        while self._doubted and next(iter(self._doubted.values())) < time.monotonic():
            self._doubted.popitem(last=False)
        return sender in self._doubted

    def _doubt(self, sender: str) -> None:
        self._doubted.pop(sender, None)
        self._doubted[sender] = time.monotonic() + _DOUBTED_S
        if len(self._doubted) > _MOST_DOUBTED:
            self._doubted.popitem(last=False)

    async def _put(self, named: Named, spool: Spool) -> None:
        key, size, sha256 = named.original.object_key, named.original.size, named.original.sha256
        body, kind = spool.body(), named.content_type
        if not isinstance(body, list) or not await self._store.put_soon(
            key, body, size=size, content_type=kind, sha256=sha256
        ):
            put = partial(self._store.put, key, body, size=size, content_type=kind, sha256=sha256)
            await self._executor.run(put)

    async def _commit(self, upload: Upload, named: Named) -> Message | None:
        """None, and its original given up, for one that is refused, was sent before or was swept."""
        original, once = named.original, upload.once(named.original.sha256)
        arriving = arrival(upload, named.message_id, original, self._quota.allowance, reserved=True, once=once)
        try:
            message = await self._database.ask(arriving)
        except Exception as error:
            if came_to_nothing(error):
                await self._give_up(upload, named)
            if isinstance(error, ObjectSwept | LOST):
                return None
            raise
        if message is None:
            self._doubt(upload.sender)
            await self._give_up(upload, named)
        return message

    async def _give_up(self, upload: Upload, named: Named) -> None:
        await self._executor.run(self._intake.give_up, named.message_id, named.original.object_key, upload.sender)
