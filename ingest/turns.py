"""Who may write to an upload next: a new request waits until the one before it has let go."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from ingest.errors import Refused
from ingest.executor import Executor
from ingest.holds import Hold, Holds
from storage import uploads
from storage.database import Database
from storage.ids import made_at
from storage.uploads import OPEN_TTL, NotAccepted, StoredUpload

# A holder hears within a tick that it is asked; after this it is passed over.
_HOLDER_PATIENCE_S = 2.0
_POLL_S = 0.025
_TRIES = 4
T = TypeVar("T")


class NoUpload(Exception):
    """This user has no such upload."""


class Turns:
    def __init__(self, database: Database, holds: Holds, statements: Executor) -> None:
        self._statements = statements
        self._database = database
        self._holds = holds

    async def seen(self, upload_id: str, user: str) -> StoredUpload:
        """Raises NoUpload, Refused (`upload_expired`)."""
        upload = await self.run(partial(uploads.get, upload_id=upload_id, user_id=user, method="tus"))
        if upload is None and time.time() - made_at(upload_id) < OPEN_TTL.total_seconds():
            raise NoUpload
        if upload is None or upload.expired:
            raise Refused("upload_expired", "this upload was not finished in time: begin again")
        return upload

    async def taken(self, upload_id: str, user: str, offset: int, size: int) -> tuple[Hold, StoredUpload]:
        """The right to add at least `size` bytes behind `offset`; raises as `written` does."""
        hold = Hold(upload_id)
        take = uploads.hold(upload_id, user, offset, size, hold.name)
        return hold, await self.written(lambda: self._database.ask(take), upload_id, user, offset, size)

    async def written(
        self, write: Callable[[], Awaitable[StoredUpload]], upload_id: str, user: str, offset: int, size: int
    ) -> StoredUpload:
        """Writes once whoever holds the upload has let go. Raises NoUpload, and Refused when it can't be written."""
        for _ in range(_TRIES):
            try:
                return await write()
            except NotAccepted:
                upload = await self.seen(upload_id, user)
                if upload.holder is not None:
                    await self.free(upload)
                elif upload.state != "refused" and upload.is_full and offset == upload.received and not size:
                    return upload
                else:
                    _judge(upload, offset, size)
        raise Refused("offset_conflict", "other requests are adding to this upload")

    async def free(self, upload: StoredUpload) -> None:
        """Asks the holder to let go; passes it over when it does not, because its process died or is stuck."""
        self._holds.ask_here(upload.id)
        await self.run(partial(uploads.ask, upload_id=upload.id))
        until = time.monotonic() + _HOLDER_PATIENCE_S
        while await self.run(partial(uploads.holder_of, upload_id=upload.id)) == upload.holder:
            if time.monotonic() > until:
                return await self.run(partial(uploads.let_go, upload_id=upload.id, holder=upload.holder or ""))
            await asyncio.sleep(_POLL_S)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """One statement in a thread."""
        return await self._statements.run(self._at_once, work)

    def _at_once(self, work: Callable[[Connection], T]) -> T:
        with self._database.writing() as connection:
            return work(connection)

    async def together(self, work: Callable[[Connection], T]) -> T:
        """One transaction, in a thread."""
        return await self._statements.run(self._together, work)

    def _together(self, work: Callable[[Connection], T]) -> T:
        with self._database.transaction() as connection:
            return work(connection)


def raise_refusal(upload: StoredUpload) -> None:
    if upload.state == "refused":
        raise Refused(upload.error_code or "", upload.error_message or "")


def _judge(upload: StoredUpload, offset: int, size: int) -> None:
    """Raises why these bytes can't be added; returns when they could by now."""
    raise_refusal(upload)
    if offset != upload.received:
        raise Refused("offset_conflict", f"the upload is at offset {upload.received}, not {offset}")
    if offset + size > upload.length:
        raise Refused("too_large", f"this would be longer than the {upload.length} bytes that were announced")
