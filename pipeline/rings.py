"""The doorbell: tells idle workers that a queue has something in their lane, and never makes anybody wait."""

import logging
import threading

from pipeline import celery_app
from storage.jobs import Lane, Queue

log = logging.getLogger(__name__)
# Rings closer together than this are one ring: whoever heard the first claims what the second was about.
_SPACING_S = 0.02
_OUTAGE_PAUSE_S = 1.0


class Ringer:
    """Publishes rings from a thread of its own, started at the first ring. A ring that fails is dropped:
    the reaper rings for every queue that has something due."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app.create_celery(broker_url)
        self._changed = threading.Condition()
        self._wanted: set[tuple[Queue, Lane]] = set()
        self._closing = False
        self._thread: threading.Thread | None = None

    def ring(self, queue: Queue, lane: Lane = Lane.LIVE) -> None:
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
        while (wanted := self._next()) is not None:
            for queue, lane in wanted:
                self._ring_once(queue, lane)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _SPACING_S)

    def _next(self) -> set[tuple[Queue, Lane]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closing)
            wanted, self._wanted = self._wanted, set()
            return wanted or None

    def _ring_once(self, queue: Queue, lane: Lane) -> None:
        try:
            celery_app.ring(self._app, queue, lane)
        except Exception as error:
            log.warning("no ring for %s: the broker does not answer (%s)", queue, type(error).__name__)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _OUTAGE_PAUSE_S)
