"""Follows imported recordings until workers are done with them, so that no more wait than was said."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.context import Context
from pipeline.importing.report import Count, Outcome, Report, Trouble
from pipeline.importing.sources import Entry
from storage import imports
from storage.imports import Progress

_POLL_S = 0.25
_ENDED = ("ready", "rejected", "failed", None)


@dataclass(frozen=True)
class Watched:
    """`counted` is how the report counts it as long as nothing is wrong with it."""

    entry: Entry
    key: str
    counted: Count


class Watch:
    def __init__(self, context: Context, report: Report) -> None:
        self._context = context
        self._report = report
        self._waiting: dict[str, Watched] = {}
        # Those of them that play, but are yet to be transcribed.
        self._playable: set[str] = set()
        self._look_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def unheard(self) -> int:
        """Of which nobody knows yet whether they play."""
        return len(self._waiting) - len(self._playable)

    def add(self, message_id: str, watched: Watched) -> None:
        """Counts it."""
        self._report.counts[watched.counted] += 1
        self._waiting[message_id] = watched

    def glance(self) -> None:
        """Asks how far all of them are, now and then."""
        if self._waiting and time.monotonic() >= self._look_at:
            self.look(list(self._waiting))
            self._look_at = time.monotonic() + _POLL_S

    def look(self, ids: Sequence[str], known: Progress | None = None) -> None:
        """Asks how far these are, unless it is known of the only one."""
        if known is not None:
            return self._settle(ids[0], known)
        with self._context.database.reading() as connection:
            found = imports.progress(connection, ids)
        for message_id, progress in found.items():
            self._settle(message_id, progress)

    def _settle(self, message_id: str, progress: Progress) -> None:
        if progress.settled:
            self._judge(message_id, self._waiting[message_id], progress)
            self._playable.discard(message_id)
            del self._waiting[message_id]
        elif progress.state in _ENDED:
            self._playable.add(message_id)

    def _judge(self, message_id: str, watched: Watched, progress: Progress) -> None:
        """A message that can't be played is taken back: to those in the thread it would be news of a fault of old."""
        if progress.state not in ("rejected", "failed"):
            return
        entry, message = watched.entry, progress.error_message or ""
        outcome: Outcome = "refused" if progress.state == "rejected" else "failed"
        if outcome == "refused":
            with self._context.database.transaction() as connection:
                imports.refuse(connection, watched.key, message_id, progress.error_code or "")
        self._report.counts[watched.counted] -= 1
        self._report.note(Trouble(entry.number, entry.file, outcome, progress.error_code or "", message))
