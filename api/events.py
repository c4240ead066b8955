"""What happens in the caller's threads, as it happens."""

import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool

from api.answers import answers
from api.auth import ActingUser, AnyCaller
from api.hub import Hub
from api.services import Here, Services
from api.sse import RECONNECT_MS, EventStream, Stream, frame, live, place, position_of
from pipeline.news import told
from storage import events

router = APIRouter(prefix="/v1", tags=["events"])
_STREAM = {
    "description": "server-sent events, without end",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get("/events", status_code=200, response_class=EventStream, responses={200: _STREAM, **answers()})
async def follow(
    request: Request,
    here: Here,
    caller: AnyCaller,
    user: ActingUser,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="resumes behind this event")] = None,
) -> EventStream:
    """`message.created voice.ready voice.rejected voice.failed transcript.completed transcript.failed receipt.read
    receipt.played`: the message; `message.deleted`: its `id` and `thread_id`; `typing recording`: `thread_id` and
    `user_id`; `reprocess.progress`, for the scope admin: the run. `reset`: the place to resume from is older than the
    log, read everything anew."""
    hub: Hub = request.app.state.hub
    await hub.start()
    stream = Stream(user, is_operator=caller.is_admin)
    resumed = None if last_event_id is None else position_of(last_event_id.strip())
    extent = await run_in_threadpool(_extent, here)
    lost = last_event_id is not None and (resumed is None or not extent.trimmed <= resumed <= extent.last)
    stream.position = extent.last if resumed is None or lost else resumed
    return EventStream(stream, _chunks(here, hub, stream, lost, caller.expires_at))


@contextmanager
def ending_with_the_server(hub: Hub) -> Iterator[None]:
    """Streams never end by themselves, and a server that is told to stop waits for them: so tell them first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, stack: object) -> None:
        hub.end_soon()
        if callable(handler := before[signal.Signals(number)]):
            handler(number, stack)  # type: ignore[arg-type]

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _chunks(here: Services, hub: Hub, stream: Stream, lost: bool, until: float) -> AsyncGenerator[bytes, None]:
    hub.add(stream)
    try:
        yield f"retry: {RECONNECT_MS}\n".encode() + place(stream.position)
        if lost:
            yield frame("reset", {}, stream.position)
        async for chunk in _missed(here, stream):
            yield chunk
        async for chunk in live(stream, until):
            yield chunk
    finally:
        hub.remove(stream)


async def _missed(here: Services, stream: Stream) -> AsyncIterator[bytes]:
    """What the log holds behind the stream's place. The last look comes after the stream went live: no gap."""
    stream.live = True
    while not stream.ended:
        found = await run_in_threadpool(_next, here, stream)
        if found:
            stream.position = found[-1][0]
            yield b"".join(content for _, content in found)
        if len(found) == events.STRIDE:
            stream.forget()
        elif stream.live:
            return
        else:
            stream.live = True


def _next(here: Services, stream: Stream) -> list[tuple[int, bytes]]:
    with here.database.reading() as connection:
        found = events.seen_by(connection, stream.user, stream.position, is_operator=stream.is_operator)
        data = told(connection, here.renderer, found)
    return [
        (event.position, frame(event.type, content, event.position) if content is not None else b"")
        for event, content in zip(found, data, strict=True)
    ]


def _extent(here: Services) -> events.Extent:
    with here.database.transaction() as connection:
        return events.arrange(connection)
