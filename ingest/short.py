"""A short recording without an Idempotency-Key, as most are: two statements and a PUT, and no thread for them.

What goes another way than most do is given to `Intake`, which says why.
"""

from functools import partial

from ingest.executor import Executor
from ingest.original import Named, Upload, arrival, expectation
from ingest.quota import Quota
from ingest.spool import Spool
from ingest.voice import Accepted, Intake, came_to_nothing
from storage.database import Database
from storage.errors import ObjectSwept
from storage.messages import Message
from storage.objects import ObjectStore


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

    async def accept(self, upload: Upload, spool: Spool) -> Accepted:
        """`Intake.accept` for what is in memory and has no ticket."""
        named = self._intake.named(spool, spool.finish())
        message = None
        if await self._database.ask(expectation(upload, named, self._quota.allowance)):
            await self._put(named, spool)
            message = await self._commit(upload, named)
        if message is None:
            return await self._executor.run(self._intake.accept, upload, spool, None)
        self._intake.tell()
        return Accepted(message, 201, replayed=False)

    async def _put(self, named: Named, spool: Spool) -> None:
        key, size, sha256 = named.original.object_key, named.original.size, named.original.sha256
        body, kind = spool.body(), named.content_type
        if not isinstance(body, list) or not await self._store.put_soon(
            key, body, size=size, content_type=kind, sha256=sha256
        ):
            put = partial(self._store.put, key, body, size=size, content_type=kind, sha256=sha256)
            await self._executor.run(put)

    async def _commit(self, upload: Upload, named: Named) -> Message | None:
        """None, and its original given up, for one that is refused or was swept."""
        message = None
        try:
            message = await self._database.ask(arrival(upload, named.message_id, named.original, self._quota.allowance))
        except ObjectSwept:
            pass
        except Exception as error:
            if came_to_nothing(error):
                await self._give_up(named)
            raise
        if message is None:
            await self._give_up(named)
        return message

    async def _give_up(self, named: Named) -> None:
        await self._executor.run(self._intake.give_up, named.message_id, named.original.object_key)
