"""An archive into the store, line by line: screened, staged by several at once, kept in order, followed to the end."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from ingest.errors import Refused
from ingest.quota import Quota
from ingest.voice import Intake
from pipeline.context import Context
from pipeline.importing.keeping import AlreadyThere, keep
from pipeline.importing.report import Outcome, Report, Trouble
from pipeline.importing.screening import Screened, screen
from pipeline.importing.sources import Entry, Folder, Manifest
from pipeline.importing.staging import Staged, Stager
from pipeline.importing.watching import Watch, Watched
from storage.errors import StorageFull, StorageUnavailable
from storage.imports import Known, Progress
from storage.jobs import Lane

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_GROUP = 64
_STAGERS = 8
# What lies in the store and is yet to be kept: enough to keep the stagers busy.
_STAGED = 2 * _STAGERS
_PAUSE_S = 0.05
_REMIND_S = 60.0
# Five minutes in all: an outage that lasts longer needs somebody to look at it, and then the import goes on.
_OUTAGE_PAUSES_S = (0.5, 1, 2, 4, 8, 15, 30, 30, 30, 60, 60, 60)


@dataclass(frozen=True)
class Options:
    """`ahead`: how many recordings may wait for workers. `limit`: how many new ones are brought at most."""

    ahead: int = 200
    limit: int | None = None
    dry_run: bool = False
    wait: bool = True
    retry_refused: bool = False


class Importer:
    """`tell` is called often, with how much of the source was read."""

    def __init__(
        self,
        context: Context,
        source: Manifest | Folder,
        options: Options,
        report: Report,
        tell: Callable[[int], None],
    ) -> None:
        settings = context.settings
        intake = Intake(context.database, context.store, settings.storage.s3_prefix, Quota(settings.ingest))
        self._context = context
        self._source = source
        self._options = options
        self._report = report
        self._tell = tell
        self._stopping = threading.Event()
        self._read = 0
        self._remind_at = time.monotonic() + _REMIND_S
        self._stager = Stager(context, intake, source.root, options.dry_run, options.retry_refused)
        self._pending: deque[tuple[Screened, Future[Staged | Known | None]]] = deque()
        self.watch = Watch(context, report)

    def run(self) -> None:
        """Raises StorageUnavailable and StorageFull when an outage lasts: run again, it goes on where it was."""
        pool = ThreadPoolExecutor(_STAGERS, "import")
        try:
            for group in _groups(self._entries()):
                if not all(self._take(pool, screened) for screened in self._screened(group)):
                    break
            while self._pending:
                self._keep_next()
            while self._options.wait and self.watch.unheard:
                self._wait()
        finally:
            self._stopping.set()
            pool.shutdown(cancel_futures=True)
            self._report.under_way = self.watch.unheard

    def _entries(self) -> Iterator[Entry]:
        for entry, read in self._source.entries():
            self._read = read
            yield entry

    def _screened(self, group: list[Entry]) -> list[Screened]:
        def ask() -> list[Screened]:
            with self._context.database.reading() as connection:
                return list(screen(connection, group))

        return self._insist(ask)

    def _take(self, pool: ThreadPoolExecutor, screened: Screened) -> bool:
        """False when there are as many as there may be."""
        if screened.refusal:
            self._note(screened, "refused", *screened.refusal)
        elif screened.was_sent:
            self._report.counts["already_there"] += 1
        elif screened.known and not self._is_retried(screened.known):
            self._meet(screened, screened.known, screened.progress)
        else:
            if self._is_full():
                return False
            self._make_room()
            self._pending.append((screened, pool.submit(self._stage, screened)))
        self._tell(self._read)
        return True

    def _is_retried(self, known: Known) -> bool:
        return known.error_code is not None and self._options.retry_refused

    def _is_full(self) -> bool:
        limit = self._options.limit
        if limit is None:
            return False
        while self._pending and self._report.counts["imported"] + len(self._pending) >= limit:
            self._keep_next()
        return self._report.counts["imported"] >= limit

    def _make_room(self) -> None:
        while len(self._pending) >= min(_STAGED, self._options.ahead):
            self._keep_next()
        while len(self._pending) + len(self.watch) >= self._options.ahead:
            if self._pending:
                self._keep_next()
            else:
                self._wait()

    def _wait(self) -> None:
        self._tell(self._read)
        if time.monotonic() >= self._remind_at:
            log.info("%d recordings wait for workers of the batch lane", len(self.watch))
            self._remind_at = time.monotonic() + _REMIND_S
        time.sleep(_PAUSE_S)
        self._insist(self.watch.glance)

    def _stage(self, screened: Screened) -> Staged | Known | None:
        line = screened.entry.line
        assert line is not None
        return self._insist(lambda: self._stager.stage(line, screened.thread_id))

    def _keep_next(self) -> None:
        screened, staging = self._pending.popleft()
        line = screened.entry.line
        assert line is not None
        try:
            staged = staging.result()
            if isinstance(staged, Known):
                self._meet(screened, staged, None)
            elif staged is None:
                self._report.counts["imported"] += 1
            else:
                key = self._insist(lambda: keep(self._context, line, staged))
                self.watch.add(staged.message_id, Watched(screened.entry, key, "imported"))
                self._context.ringer.ring("media", Lane.BATCH)
        except AlreadyThere:
            self._report.counts["already_there"] += 1
        except Refused as refusal:
            self._note(screened, "refused", refusal.code, refusal.message)
        except OSError as error:
            self._note(screened, "failed", "unreadable", error.strerror or type(error).__name__)
        self._insist(self.watch.glance)
        self._tell(self._read)

    def _meet(self, screened: Screened, known: Known, progress: Progress | None) -> None:
        """It was brought before: what became of it?"""
        if known.error_code is not None:
            message = "an earlier import found that it can't be played: --retry-refused tries it again"
            self._note(screened, "refused", known.error_code, message)
        elif self._options.dry_run:
            self._report.counts["already_there"] += 1
        else:
            self.watch.add(known.message_id, Watched(screened.entry, known.key, "already_there"))
            self._insist(lambda: self.watch.look([known.message_id], progress))

    def _insist(self, step: Callable[[], _Result]) -> _Result:
        """Through an outage."""
        for pause in _OUTAGE_PAUSES_S:
            try:
                return step()
            except (StorageUnavailable, StorageFull) as error:
                log.warning("the import waits: %s", error)
                if self._stopping.wait(pause):
                    raise
        return step()

    def _note(self, screened: Screened, outcome: Outcome, code: str, message: str) -> None:
        entry = screened.entry
        self._report.note(Trouble(entry.number, entry.file, outcome, code, message))


def _groups(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while group := list(islice(entries, _GROUP)):
        yield group
