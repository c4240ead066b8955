"""The Idempotency-Keys of the requests that this process works on: a second one is refused while the first runs.

What runs here is known without asking. For other processes a key is locked in the database, by `Intake.begin` or as
soon as its request takes long: most short ones are over before that, and where two of them run in two processes, the
statement that makes the message lets only one do so, and the other gives its result.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from storage import idempotency
from storage.database import Database
from storage.idempotency import Claim, InProgress

log = logging.getLogger(__name__)
_SOON_S = 0.25


class Keys:
    """For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._under_way: set[tuple[str, str, str]] = set()

    @asynccontextmanager
    async def holding(self, thread_id: str, claim: Claim | None) -> AsyncIterator[None]:
        """Keeps the key locked for as long as its request takes, and lets go of it on any error. Raises InProgress."""
        if claim is None or await self._is_replay(claim):
            yield
            return
        name = _name(claim)
        self._under_way.add(name)
        keeper = asyncio.create_task(self._keep(thread_id, claim))
        try:
            yield
        except BaseException:
            await asyncio.shield(self._let_go(claim, keeper))
            raise
        finally:
            keeper.cancel()
            self._under_way.discard(name)

    async def _is_replay(self, claim: Claim) -> bool:
        """Of one that several ask for at the same time."""
        if _name(claim) not in self._under_way:
            return False
        if await self._database.ask(idempotency.is_finished(claim)):
            return True
        raise InProgress

    async def _keep(self, thread_id: str, claim: Claim) -> None:
        """As long as it is not cancelled: another request may let go of the key."""
        await asyncio.sleep(_SOON_S)
        while True:
            await _to_its_end(self._lock(thread_id, claim))
            await asyncio.sleep(idempotency.LOCK_S / 4)

    async def _lock(self, thread_id: str, claim: Claim) -> None:
        try:
            await self._database.ask(idempotency.lock(claim, thread_id))
        except Exception as error:
            log.warning("an idempotency key could not be locked (%s); trying again", type(error).__name__)

    async def _let_go(self, claim: Claim, keeper: asyncio.Task[None]) -> None:
        """Of a request that was refused or broke off, so that it can be tried again at once."""
        keeper.cancel()
        await asyncio.wait([keeper])
        try:
            await self._database.ask(idempotency.release(claim))
        except Exception as error:
            # Its refusal is told all the same.
            log.warning("an idempotency key stays locked until its lock runs out (%s)", type(error).__name__)


def _name(claim: Claim) -> tuple[str, str, str]:
    return claim.user_id, claim.path, claim.key


async def _to_its_end(asking: Coroutine[Any, Any, None]) -> None:
    """Also when it is cancelled: the server would do what it was told after what it is told next."""
    task = asyncio.create_task(asking)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
