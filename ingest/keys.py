"""The Idempotency-Keys of the requests that this process works on: a second one is refused while the first runs.

What runs here is known without asking. For other processes a key is locked in the database, by `Intake.begin` or as
soon as its request takes long: most short ones are over before that, and where two of them run in two processes, the
statement that makes the message lets only one do so, and the other gives its result.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage import idempotency
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.idempotency import Claim, InProgress

log = logging.getLogger(__name__)
_SOON_S = 0.25


class Keys:
    """For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._under_way: set[tuple[str, str, str]] = set()

    @asynccontextmanager
    async def holding(self, claim: Claim | None) -> AsyncIterator[None]:
        """Keeps the key locked for as long as its request takes, and lets go of it on any error. Raises InProgress."""
        if claim is None:
            yield
            return
        name = (claim.user_id, claim.path, claim.key)
        if name in self._under_way:
            raise InProgress
        self._under_way.add(name)
        keeper = asyncio.create_task(self._keep(claim))
        try:
            yield
        except BaseException:
            keeper.cancel()
            await asyncio.shield(self._release(claim))
            raise
        finally:
            keeper.cancel()
            self._under_way.discard(name)

    async def _keep(self, claim: Claim) -> None:
        """Until another request has it, or has its result."""
        await asyncio.sleep(_SOON_S)
        while await self._lock(claim):
            await asyncio.sleep(idempotency.LOCK_S / 4)

    async def _lock(self, claim: Claim) -> bool:
        try:
            return await self._database.ask(idempotency.lock(claim))
        except (StorageUnavailable, StorageFull):
            log.warning("an idempotency key could not be locked; trying again")
            return True

    async def _release(self, claim: Claim) -> None:
        """Of a request that was refused or broke off, so that it can be tried again at once."""
        try:
            await self._database.ask(idempotency.release(claim))
        except (StorageUnavailable, StorageFull):
            log.warning("an idempotency key stays locked until its lock runs out")
