"""Ids of messages by slots that are reserved ahead, so that an upload need not wait for that, nor the disk for each."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

from storage import reservations
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.ids import new_id, randomness

log = logging.getLogger(__name__)
_MOST = 64
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Slot:
    """`since` is Unix time, and `asked` the same moment of a clock that is never set."""

    name: str
    since: float
    asked: float

    def serves(self, now: float) -> bool:
        """At this Unix time."""
        age_s = time.monotonic() - self.asked
        return age_s < reservations.USED_WITHIN_S and self.since <= now <= self.since + reservations.USED_WITHIN_S


class ReservedIds:
    """For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # The oldest first.
        self._slots: deque[_Slot] = deque()
        self._asking: asyncio.Task[float] | None = None
        self._letting_go: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._next = 1

    async def take(self) -> str | None:
        """As `new_id`, with its slot reserved; None where the database takes so long that slots are too old when they
        come. Raises StorageUnavailable and StorageFull."""
        while (message_id := self._made()) is None:
            self._waiting += 1
            try:
                if await asyncio.shield(self._asked()) >= reservations.USED_WITHIN_S:
                    return None
            finally:
                self._waiting -= 1
        return message_id

    async def close(self) -> None:
        """What a database does not release soon runs out."""
        self._let_go([slot.name for slot in self._slots])
        self._slots.clear()
        if self._letting_go:
            await asyncio.wait(self._letting_go, timeout=_CLOSE_S)

    def _made(self) -> str | None:
        now = time.time()
        self._let_go_old(now)
        return new_id("msg", now, self._slots.popleft().name) if self._slots else None

    def _let_go_old(self, now: float) -> None:
        old = []
        while self._slots and not self._slots[0].serves(now):
            old.append(self._slots.popleft().name)
        self._let_go(old)

    def _let_go(self, slots: list[str]) -> None:
        """What was not used. Begins again with few."""
        if slots:
            self._next = 1
            task = asyncio.create_task(self._release(slots))
            self._letting_go.add(task)
            task.add_done_callback(self._letting_go.discard)

    async def _release(self, slots: list[str]) -> None:
        try:
            await self._database.ask(reservations.release(slots))
        except (StorageUnavailable, StorageFull):
            log.warning("%d reservations that were not used stay until they run out", len(slots))

    def _asked(self) -> asyncio.Task[float]:
        """One question for all who wait; who gives up does not take it from the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    async def _ask(self) -> float:
        """How long it took, in seconds."""
        names = [randomness() for _ in range(min(max(self._next, self._waiting), _MOST))]
        since, asked = time.time(), time.monotonic()
        await self._database.ask(reservations.reservation(names, since))
        self._slots.extend(_Slot(name, since, asked) for name in names)
        # As long as they are used in time.
        self._next = min(2 * len(names), _MOST)
        asyncio.get_running_loop().call_later(reservations.USED_WITHIN_S, self._look_for_old)
        return time.monotonic() - asked

    def _look_for_old(self) -> None:
        self._let_go_old(time.time())
