"""The bytes of one request as they come, from a client that may fall silent or go away at any moment."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext, suppress
from typing import Any, Literal

from ingest.holds import Hold

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Body:
    """`size` is what the client announced. `state` says how it ended: `whole`, `gone` (the client is), `idle` (nothing
    came for too long) or `asked` (another request waits for the upload)."""

    def __init__(self, receive: Receive, *, size: int | None, idle_s: float) -> None:
        self.size = size
        self.state: Literal["coming", "whole", "gone", "idle", "asked"] = "coming"
        self._receive = receive
        self.idle_s = idle_s

    async def read(self, hold: Hold | None = None) -> bytes:
        """The next bytes; what `state` says holds after them."""
        try:
            async with asyncio.timeout(self.idle_s) as patience:
                with hold.waiting(patience) if hold else nullcontext():
                    return await self._next()
        except TimeoutError:
            self.state = "asked" if hold is not None and hold.asked else "idle"
            return b""

    async def read_quickly(self, pause_s: float, deadline_s: float) -> bytes:
        """What comes without a pause, within the deadline: all of a short body from a client nearby."""
        found: list[bytes] = []
        clock = asyncio.get_running_loop().time
        until = clock() + deadline_s
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s) as patience:
                while self.state == "coming":
                    found.append(await self._next())
                    patience.reschedule(min(clock() + pause_s, until))
        return b"".join(found)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.state = "gone"
            return _undelivered(self._receive)
        if not message.get("more_body", False):
            self.state = "whole"
        return bytes(message.get("body", b""))


def _undelivered(receive: Receive) -> bytes:
    """Once a client is gone uvicorn tells only that, and keeps for itself what came before. Those bytes count, too."""
    return bytes(getattr(getattr(receive, "__self__", None), "body", b""))
