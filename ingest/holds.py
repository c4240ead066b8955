"""Which uploads this process is receiving bytes of, and how their requests learn that another one waits for them.

The holder is a name in the upload's row. One query per process and tick asks, for all uploads that it holds, whether
somebody in another process wants one; within the process the word is passed directly.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.executor import Executor
from storage import uploads
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.ids import new_id

log = logging.getLogger(__name__)
TICK_S = 0.2
# All bytes in memory that are not durable yet, shared by the requests that receive some.
_BUDGET_BYTES = 32 * 1024 * 1024
_MOST_BYTES = 1024 * 1024
_LEAST_BYTES = 64 * 1024


class Hold:
    """One request's right to add bytes to an upload, under a name that nobody else has."""

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        self.name = new_id("own")
        self.asked = False
        self._patience: asyncio.Timeout | None = None

    @contextmanager
    def waiting(self, patience: asyncio.Timeout) -> Iterator[None]:
        """While the holder waits for bytes; being asked ends its patience at once."""
        self._patience = patience
        if self.asked:
            self.ask()
        try:
            yield
        finally:
            self._patience = None

    def ask(self) -> None:
        self.asked = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())


class Holds:
    """Those of one process; only for its event loop."""

    def __init__(self, database: Database, statements: Executor) -> None:
        self._database = database
        self._statements = statements
        self._mine: dict[str, Hold] = {}
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def listed(self, hold: Hold) -> Iterator[None]:
        """As long as it is listed, the hold hears of those who wait."""
        self._mine[hold.name] = hold
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            del self._mine[hold.name]

    def ask_here(self, upload_id: str) -> None:
        for hold in list(self._mine.values()):
            if hold.upload_id == upload_id:
                hold.ask()

    def share_bytes(self) -> int:
        """How much one request may keep in memory."""
        return min(_MOST_BYTES, max(_LEAST_BYTES, _BUDGET_BYTES // max(1, len(self._mine))))

    async def _watch(self) -> None:
        while self._mine:
            await asyncio.sleep(TICK_S)
            known = list(self._mine.values())
            try:
                undisturbed = await self._statements.run(self._undisturbed, [(h.upload_id, h.name) for h in known])
            except (StorageUnavailable, StorageFull):
                log.warning("nobody can ask for an upload: the database does not answer")
                continue
            for hold in known:
                if hold.name not in undisturbed:
                    hold.ask()

    def _undisturbed(self, names: list[tuple[str, str]]) -> set[str]:
        with self._database.transaction() as connection:
            return uploads.undisturbed(connection, names)
