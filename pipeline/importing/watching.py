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
            found = imports.progress(connection, {each: self._waiting[each].key for each in ids})
        for message_id, progress in found.items():
            self._settle(message_id, progress)

    def _settle(self, message_id: str, progress: Progress) -> None:
        if progress.settled:
            self._playable.discard(message_id)
            self._judge(self._waiting.pop(message_id), progress)
        elif progress.state == "ready":
            self._playable.add(message_id)

    def _judge(self, watched: Watched, progress: Progress) -> None:
        if progress.state in ("rejected", "failed"):
            entry, code, message = watched.entry, progress.error_code or "", progress.error_message or ""
            outcome: Outcome = "refused" if progress.state == "rejected" else "failed"
            self._report.counts[watched.counted] -= 1
            self._report.note(Trouble(entry.number, entry.file, outcome, code, message))
