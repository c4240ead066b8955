"""`earshot reaper`: takes expired leases back, rings for what is due, deletes what nothing refers to any more.

Any number of copies may run: every step locks the rows it takes and skips those that another copy has taken.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from pipeline import failures, letting_go, reprocess_walker, tending
from pipeline.abandoned import abandoned
from pipeline.context import Context, assemble
from pipeline.courier import make_courier
from storage import events, idempotency, intents, job_records, jobs, references, reservations, usage, webhooks
from storage.errors import StorageFull, StorageUnavailable
from storage.keys import message_prefix

log = logging.getLogger(__name__)
_HOURLY_S = 3600.0
# How long one step of a tick goes on while there is more to do.
_PATIENCE_S = 2.0
_ERASERS = 8
# Emptied once more after this: a PUT may land behind the first time.
_LATE_S = 60


def run() -> int:
    """Ticks until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    context = assemble()
    reaper, courier = Reaper(context), make_courier(context)
    courier.start()
    while not stop.is_set():
        reaper.tick()
        stop.wait(context.settings.pipeline.reaper_tick_s)
    courier.close()
    context.close()
    return 0


class Reaper:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._patience_until = 0.0
        self._forget_at = 0.0
        # Two waits for S3 each: one after the other, what was deleted in an outage would take minutes after it.
        self._erasers = ThreadPoolExecutor(_ERASERS, "eraser")
        self._retention = letting_go.Retention(letting_go.RetentionSettings())

    def tick(self) -> None:
        """One round; each step by itself, so that an outage of S3 does not keep jobs from being taken back."""
        steps = (
            self.take_back,
            self.reprocess,
            self.ring,
            self.sweep_reservations,
            self.erase,
            self.sweep_intents,
            self.tend_uploads,
            self.let_go,
            self.forget,
        )
        for step in steps:
            try:
                step()
            except (StorageUnavailable, StorageFull) as error:
                log.warning("%s: %s", step.__name__, error)
                if step == self.take_back:
                    # Leases ran out while nobody could prolong them: their holders get the time to do so.
                    self._patience_until = time.monotonic() + self._context.settings.pipeline.lease_s
            except Exception:
                # A defect in one step must not keep the others from their work.
                log.exception("%s failed", step.__name__)

    def take_back(self) -> None:
        begun = time.monotonic()
        with self._context.database.transaction() as connection:
            if begun < self._patience_until:
                return
            again, dead = jobs.reap(connection)
            if time.monotonic() - begun > self._context.settings.pipeline.lease_s / 3:
                # Workers had to wait as long, with their leases running out. Undoes what was taken back.
                raise StorageUnavailable("the database hung for longer than a heartbeat")
            for job in dead:
                failures.bury(connection, job)
        if again or dead:
            log.warning("leases expired: %d jobs queued again, %d dead", again, len(dead))

    def reprocess(self) -> None:
        reprocess_walker.walk(self._context)

    def ring(self) -> None:
        with self._context.database.transaction() as connection:
            due = jobs.due(connection)
        for queue, lane in due:
            self._context.ringer.ring(queue, lane)

    def sweep_reservations(self) -> None:
        _while_there_is_more(self._sweep_some_reservations)

    def _sweep_some_reservations(self) -> bool:
        with self._context.database.transaction() as connection:
            if old := reservations.forget_old(connection):
                log.warning("%d reservations are too old to act upon: see `earshot sweep`", old)
            slots = reservations.dead(connection)
            if message_ids := abandoned(self._context, slots):
                intents.erase_later(connection, message_ids, settle_s=_LATE_S)
            reservations.release(slots).on(connection)
        return bool(slots)

    def erase(self) -> None:
        _while_there_is_more(self._erase_some)

    def _erase_some(self) -> bool:
        with self._context.database.transaction() as connection:
            due = intents.due_erasures(connection)
        for _ in self._erasers.map(self._erase_one, due):
            pass
        return bool(due)

    def _erase_one(self, message_id: str) -> None:
        self._context.store.delete_prefix(message_prefix(self._context.settings.storage.s3_prefix, message_id))
        with self._context.database.transaction() as connection:
            intents.erased(connection, message_id)

    def sweep_intents(self) -> None:
        _while_there_is_more(self._sweep_some_intents)

    def _sweep_some_intents(self) -> bool:
        """Holding the intents' rows meanwhile keeps whoever wants to put a key again waiting."""
        with self._context.database.transaction() as connection:
            if old := intents.forget_old(connection):
                log.warning("%d intents are too old to act upon: see `earshot sweep`", old)
            intents.doom(connection)
        with self._context.database.transaction() as connection:
            owners = intents.doomed(connection)
            if not owners:
                return False
            orphans = set(owners) - references.referenced(connection, owners)
            self._context.store.delete(orphans)
            intents.forget(connection, owners)
        log.info("swept %d objects of dead intents", len(orphans))
        return True

    def tend_uploads(self) -> None:
        for tend in (tending.finish_full, tending.sweep_uploads, tending.forget_uploads):
            tend(self._context)

    def let_go(self) -> None:
        letting_go.erase_people(self._context)
        self._retention.go_on(self._context)

    def forget(self) -> None:
        if time.monotonic() >= self._forget_at:
            with self._context.database.transaction() as connection:
                idempotency.forget_old(connection)
                usage.forget_old(connection)
                webhooks.trim(connection)
            for trim in (events.trim, job_records.forget_old):
                while self._trimmed(trim):
                    pass
            self._forget_at = time.monotonic() + _HOURLY_S

    def _trimmed(self, trim: Callable[[Connection], int]) -> int:
        with self._context.database.transaction() as connection:
            return trim(connection)


def _while_there_is_more(do_some: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while do_some() and time.monotonic() < until:
        pass
