"""Server-sent events over one connection. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT_S = 15.0
# Who reads so slowly that this many bytes wait for him is cut off; he resumes with the last id that he has.
MAX_BEHIND = 1024 * 1024
RECONNECT_MS = 2000


def frame(event_type: str, data: Any, position: int | None) -> bytes:
    """A signal has no position: it is no place to resume from."""
    place = "" if position is None else f"id: {event_id(position)}\n"
    content = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{place}event: {event_type}\ndata: {content}\n\n".encode()


def place(position: int) -> bytes:
    """Moves the client's place in the log without an event."""
    return f"id: {event_id(position)}\n\n".encode()


def event_id(position: int) -> str:
    return f"{position:x}"


def position_of(text: str) -> int | None:
    """None for what is no id of ours."""
    try:
        return int(text, 16) if 0 < len(text) <= 15 and text.isalnum() and text.isascii() else None
    except ValueError:
        return None


class Stream:
    """What waits to be written to one client. Used by the event loop's thread only."""

    def __init__(self, user: str, *, is_operator: bool = False) -> None:
        self.user = user
        self.is_operator = is_operator
        # Everything up to here was sent, or happened before the client came.
        self.position = 0
        # Whether what happens now is kept for it: not yet while it catches up.
        self.live = False
        self.ended = False
        self._frames: deque[tuple[int | None, bytes]] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def push(self, position: int | None, content: bytes) -> bool:
        """False when the client is too far behind."""
        if self.live:
            self._frames.append((position, content))
            self._bytes += len(content)
            self._news.set()
        return self._bytes <= MAX_BEHIND

    def reached(self, position: int) -> None:
        """Nothing up to `position` is still to come."""
        if self.live and not self._frames:
            self.position = max(self.position, position)

    def end(self) -> None:
        self.ended = True
        self._news.set()

    def written_by(self, writer: asyncio.Task[None]) -> None:
        self._writer = writer

    def cut(self) -> None:
        """Ends it in the middle of a write that never comes to its end."""
        if self._writer is not None:
            self._writer.cancel()

    async def wait(self, timeout_s: float) -> None:
        """Returns as soon as there is news, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def take(self) -> bytes:
        """All that waits, without what was sent while the client caught up."""
        chosen = []
        for position, content in self._frames:
            if position is None or position > self.position:
                chosen.append(content)
                self.position = position or self.position
        self._frames.clear()
        self._bytes = 0
        self._news.clear()
        return b"".join(chosen)

    def forget(self) -> None:
        """What was pushed will be read from the log instead."""
        self.live = False
        self._frames.clear()
        self._bytes = 0


async def live(stream: Stream, until: float) -> AsyncIterator[bytes]:
    """What is pushed, and heartbeats, which carry the place that the client has reached."""
    while not stream.ended and time.time() < until:
        await stream.wait(min(HEARTBEAT_S, max(0.0, until - time.time())))
        yield stream.take() or place(stream.position)


class EventStream(Response):
    """Ends when its chunks do, when the client leaves, or when the stream is cut because he does not read."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream, chunks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._stream = stream
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        writer = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_left(receive))
        self._stream.written_by(writer)
        try:
            await asyncio.wait({writer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.cancel()
            leaving.cancel()
            await asyncio.gather(writer, leaving, return_exceptions=True)
            await self._chunks.aclose()

    async def _write(self, send: Send) -> None:
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
