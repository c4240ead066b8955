"""The bytes of one request as they come, from a client that may fall silent or go away at any moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
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
        self._idle_s = idle_s

    async def read(self, hold: Hold | None = None) -> bytes:
        """The next bytes; what `state` says holds after them."""
        try:
            async with asyncio.timeout(self._idle_s) as patience:
                with hold.waiting(patience) if hold else nullcontext():
                    message = await self._receive()
        except TimeoutError:
            self.state = "asked" if hold is not None and hold.asked else "idle"
            return b""
        if message["type"] == "http.disconnect":
            self.state = "gone"
            return _undelivered(self._receive)
        if not message.get("more_body", False):
            self.state = "whole"
        return bytes(message.get("body", b""))

    async def read_quickly(self, patience_s: float, deadline_s: float) -> bytes:
        """What comes without a pause of `patience_s`, within the deadline: all of a short body from a client nearby."""
        found = bytearray()
        until = time.monotonic() + deadline_s
        try:
            while self.state == "coming" and time.monotonic() < until:
                async with asyncio.timeout(patience_s):
                    found += await self.read()
        except TimeoutError:
            pass
        return bytes(found)


def _undelivered(receive: Receive) -> bytes:
    """Once a client is gone uvicorn tells only that, and keeps for itself what came before. Those bytes count, too."""
    return bytes(getattr(getattr(receive, "__self__", None), "body", b""))
