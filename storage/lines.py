"""The lines of one process: a handful of connections for single statements, opened at need.

Beside the library's pool: that takes longer to lend a connection and to take it back than a line to run a statement.
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from storage.driver import Line
from storage.errors import StorageUnavailable

_TRUSTED_S = 0.5


class Trust:
    """Which connections may be used unasked after a rest."""

    def __init__(self) -> None:
        self._lost_at = float("-inf")

    def lose(self) -> None:
        """One was found to be lost: others that rested then may be so too."""
        self._lost_at = time.monotonic()

    def covers(self, since: float) -> bool:
        """One that rests `since` then (monotonic seconds): a server takes longer than this to go and come back."""
        return since >= max(time.monotonic() - _TRUSTED_S, self._lost_at)


class Lines:
    """Safe to share between threads."""

    def __init__(self, open_line: Callable[[], Line], trust: Trust, *, most: int, patience_s: float) -> None:
        self._open = open_line
        self._trust = trust
        self._patience_s = patience_s
        self._free = threading.Semaphore(most)
        # With the monotonic seconds since when each rests. The one that was used last is taken first: its statements
        # are prepared, and it needs no question whether it still lives.
        self._resting: deque[tuple[Line, float]] = deque()
        weakref.finalize(self, _close_all, self._resting)

    def take(self) -> Line:
        """Raises StorageUnavailable when all are in use for too long, and what opening one raises."""
        if not self._free.acquire(timeout=self._patience_s):
            raise StorageUnavailable("all connections to the database are in use")
        try:
            return self._rested() or self._open()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, line: Line) -> None:
        """What broke, or is in the middle of something, is thrown away."""
        if line.is_free:
            self._resting.append((line, time.monotonic()))
        else:
            line.close()
        self._free.release()

    def close(self) -> None:
        _close_all(self._resting)

    def _rested(self) -> Line | None:
        while True:
            try:
                line, since = self._resting.pop()
            except IndexError:
                return None
            if self._trust.covers(since) or line.answers():
                return line
            line.close()
            self._trust.lose()


def _close_all(resting: deque[tuple[Line, float]]) -> None:
    while resting:
        resting.pop()[0].close()
