"""The doorbell: tells idle workers that a queue has something in their lane, and never makes anybody wait."""

import logging
import threading
import time

from pipeline import celery_app
from storage.jobs import Lane, Queue

log = logging.getLogger(__name__)
# Rings closer together than this are one ring: whoever heard the first claims what the second was about.
_SPACING_S = 0.02
# Where enough rings wait unheard, nobody is idle who could hear this one.
_CROWD_PAUSE_S = 0.2
_OUTAGE_PAUSE_S = 1.0


class Ringer:
    """Publishes rings from a thread of its own, started at the first ring. A ring that fails is dropped:
    the reaper rings for every queue that has something due."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app.create_celery(broker_url)
        self._changed = threading.Condition()
        self._wanted: set[tuple[Queue, Lane]] = set()
        # Until when (monotonic seconds) a bell that was rung is not rung again.
        self._rests: dict[tuple[Queue, Lane], float] = {}
        self._closing = False
        self._thread: threading.Thread | None = None

    def ring(self, queue: Queue, lane: Lane = Lane.LIVE) -> None:
        if (queue, lane) in self._wanted:
            return
        with self._changed:
            self._wanted.add((queue, lane))
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish, name="ringer", daemon=True)
                self._thread.start()
            self._changed.notify()

    def ping(self) -> None:
        """Raises when the broker can't be reached within about a second."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0, timeout=1, reraise_as_library_errors=False)

    def close(self, timeout_s: float = 2.0) -> None:
        """Publishes what is still wanted, then ends."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._app.close()

    def _publish(self) -> None:
        while wanted := self._next():
            for queue, lane in wanted:
                rest_s = self._ring_once(queue, lane)
                self._rests[queue, lane] = time.monotonic() + rest_s

    def _next(self) -> set[tuple[Queue, Lane]]:
        """Those that are wanted and have rested, as soon as there is one; at the end all that are wanted."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                left = {bell: self._rests.get(bell, now) - now for bell in self._wanted}
                if any(rest_s <= 0 for rest_s in left.values()):
                    return self._taken({bell for bell, rest_s in left.items() if rest_s <= 0})
                self._changed.wait(min(left.values(), default=None))
            return self._taken(set(self._wanted))

    def _taken(self, bells: set[tuple[Queue, Lane]]) -> set[tuple[Queue, Lane]]:
        self._wanted -= bells
        return bells

    def _ring_once(self, queue: Queue, lane: Lane) -> float:
        """For how long this bell may rest then, in seconds."""
        try:
            return _SPACING_S if celery_app.ring(self._app, queue, lane) else _CROWD_PAUSE_S
        except Exception as error:
            log.warning("no ring for %s: the broker does not answer (%s)", queue, type(error).__name__)
            return _OUTAGE_PAUSE_S
