"""The one reader of the event log in this process, and the streams that it feeds.

A thread waits for NOTIFY (and looks once a second in case one was lost), gives new events their positions, renders
each once and hands it to the event loop, which passes it on to those who may see it.
"""

import asyncio
import json
import logging
import resource
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from api.sse import Stream, frame
from pipeline.news import told
from pipeline.render import Renderer
from storage import events, threads
from storage.bell import Bell, Note, listening
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)
SIGNALS = "earshot_signals"
_POLL_S = 1.0
_RETRY_S = 1.0
# A person with more open streams than this has lost some of them: the oldest is ended. High, for a host application
# may follow one person from many places.
MAX_STREAMS_EACH = 2_000


@dataclass(frozen=True)
class Piece:
    """One event as it is written, and who may see it."""

    position: int | None
    content: bytes
    audience: Collection[str]
    for_operators: bool = False


class Hub:
    def __init__(self, database: Database, renderer: Renderer) -> None:
        self._database = database
        self._renderer = renderer
        self._streams: dict[str, dict[Stream, None]] = {}
        self._starting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: Reader | None = None

    async def start(self) -> None:
        """Begins to read the log, once. Raises StorageUnavailable."""
        async with self._starting:
            if self._reader is None:
                allow_many_files()
                position = await run_in_threadpool(self._last_position)
                self._loop = asyncio.get_running_loop()
                self._reader = Reader(self._database, self._renderer, position, self._hear, self._open_users)
                self._reader.start()

    def add(self, stream: Stream) -> None:
        mine = self._streams.setdefault(stream.user, {})
        mine[stream] = None
        if len(mine) > MAX_STREAMS_EACH:
            next(iter(mine)).end()

    def remove(self, stream: Stream) -> None:
        mine = self._streams.get(stream.user, {})
        mine.pop(stream, None)
        if not mine:
            self._streams.pop(stream.user, None)

    def end(self) -> None:
        """Lets every stream end; clients come back to whoever is there then."""
        for mine in list(self._streams.values()):
            for stream in list(mine):
                stream.end()

    def end_soon(self) -> None:
        """From a signal's handler or another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.end)

    async def close(self) -> None:
        self.end()
        if self._reader is not None:
            await run_in_threadpool(self._reader.stop)

    def _last_position(self) -> int:
        with self._database.transaction() as connection:
            return events.arrange(connection).last

    def _open_users(self) -> list[str]:
        return list(self._streams)

    def _hear(self, pieces: Collection[Piece], reached: int) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._deliver, pieces, reached)

    def _deliver(self, pieces: Collection[Piece], reached: int) -> None:
        for piece in pieces:
            for stream in self._listeners(piece):
                if not stream.push(piece.position, piece.content):
                    log.info("a stream is cut: its client does not read")
                    stream.cut()
        for mine in self._streams.values():
            for stream in mine:
                stream.reached(reached)

    def _listeners(self, piece: Piece) -> list[Stream]:
        if piece.for_operators:
            return [stream for mine in self._streams.values() for stream in mine if stream.is_operator]
        # Whichever are fewer: those who may see it or those who listen.
        few, many = sorted((piece.audience, self._streams), key=len)
        return [stream for user in few if user in many for stream in self._streams[user]]


def allow_many_files() -> None:
    """Each stream is an open file, of which systems allow 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Reader:
    """Calls `hear` in its own thread with what is new and the position that it reached."""

    def __init__(
        self,
        database: Database,
        renderer: Renderer,
        position: int,
        hear: Callable[[Collection[Piece], int], None],
        open_users: Callable[[], list[str]],
    ) -> None:
        self._database = database
        self._renderer = renderer
        self._position = position
        self._hear = hear
        self._open_users = open_users
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with listening(self._database, [events.CHANNEL, SIGNALS]) as bell:
                    self._listen(bell)
            except (StorageUnavailable, StorageFull) as error:
                log.warning("the event log can't be followed: %s", error)
            except Exception:
                log.exception("the event log can't be followed")
            self._stop.wait(_RETRY_S)

    def _listen(self, bell: Bell) -> None:
        notes: list[Note] = []
        while not self._stop.is_set():
            self._pass_on_signals([note for note in notes if note.channel == SIGNALS])
            self._follow()
            notes = bell.wait(_POLL_S)

    def _follow(self) -> None:
        with self._database.transaction() as connection:
            last = events.arrange(connection).last
        while self._position < last:
            until = min(last, self._position + events.STRIDE)
            self._hear(self._pieces(until), until)
            self._position = until

    def _pieces(self, until: int) -> list[Piece]:
        with self._database.reading() as connection:
            found = events.between(connection, self._position, until)
            data = told(connection, self._renderer, [event for event, _ in found])
        return [
            Piece(event.position, frame(event.type, content, event.position), audience, event.run_id is not None)
            for (event, audience), content in zip(found, data, strict=True)
            if content is not None
        ]

    def _pass_on_signals(self, notes: list[Note]) -> None:
        if not notes or not (users := self._open_users()):
            return
        signals = [json.loads(note.payload) for note in notes]
        with self._database.transaction() as connection:
            members = threads.members_among(connection, {signal["thread_id"] for signal in signals}, users)
        pieces = [
            Piece(
                None,
                frame(kind, {"thread_id": signal["thread_id"], "user_id": signal["user_id"]}, None),
                members[signal["thread_id"]] - {signal["user_id"]},
            )
            for signal in signals
            for kind in (signal["kind"],)
        ]
        self._hear(pieces, 0)
