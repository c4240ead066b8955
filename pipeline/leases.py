"""Keeps the leases of the jobs that this process works on."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from storage import jobs
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Prolongs all held leases from one thread, three times per lease. What is lost is noticed at the fence."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self.lease_s = lease_s
        self._database = database
        # A claim that was lost may end while another one of the same job is held here.
        self._held: dict[tuple[str, int], jobs.Job] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, claimed: Sequence[jobs.Job]) -> Iterator[None]:
        with self._lock:
            self._held.update({(job.id, job.token): job for job in claimed})
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                for job in claimed:
                    self._held.pop((job.id, job.token), None)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _beat(self) -> None:
        while not self._stop.wait(self.lease_s / 3):
            with self._lock:
                held = list(self._held.values())
            if held:
                self._prolong(held)

    def _prolong(self, held: Sequence[jobs.Job]) -> None:
        try:
            # One statement by itself: frozen inside a transaction, this process would keep its jobs' rows locked.
            with self._database.reading() as connection:
                kept = jobs.heartbeat(connection, held, lease_s=self.lease_s)
        except (StorageUnavailable, StorageFull) as error:
            log.warning("leases not prolonged: %s", error)
            return
        gone = [job.id for job in held if job.id not in kept]
        if gone:
            # Jobs of a claim end one by one; whether one was lost is noticed at the fence.
            log.info("done or lost, not prolonged: %s", ", ".join(gone))
