"""What a worker does when it hears a ring: claims and works until nothing is left or its time is up."""

import logging
import threading
import time
from collections.abc import Sequence

from pipeline import failures, media, speech
from pipeline.context import Context
from storage import jobs
from storage.errors import StorageFull, StorageUnavailable
from storage.jobs import Job, Lane, Queue
from transcribe.protocol import nothing

log = logging.getLogger(__name__)
_LONGEST_REST_S = 10.0


class Rest:
    """A worker around which something fails leaves the jobs to its colleagues for a while, longer each time.

    It would be the first to ask for each of them, and the quickest to fail, while their own pauses grew. One job that
    always fails says nothing about the worker.
    """

    def __init__(self) -> None:
        self._failed: set[str] = set()
        self._pause_s = 0.0
        self._until = 0.0

    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    def note(self, failed: Sequence[str]) -> None:
        """The jobs of a claim of which all failed, none when anything was done."""
        before, self._failed = self._failed, self._failed.union(failed) if failed else set()
        if not before or len(self._failed) < 2:
            self._pause_s = 0.0
            return
        self._pause_s = min(2 * self._pause_s or 1.0, _LONGEST_REST_S)
        self._until = time.monotonic() + self._pause_s


class Drain:
    """One for each worker process. More rings than free slots are answered at once: the busy ones see to the rest."""

    def __init__(self, context: Context, lane: Lane | None) -> None:
        self._context = context
        self._lane = lane
        # Speech runs in one group at a time: the engine spreads a group over its cores itself.
        self._slots = {
            "media": threading.BoundedSemaphore(context.settings.pipeline.media_slots),
            "speech": threading.BoundedSemaphore(1),
        }
        self._rests = {"media": Rest(), "speech": Rest()}

    def __call__(self, queue: Queue) -> None:
        if not self._slots[queue].acquire(blocking=False):
            return
        try:
            self._drain(queue)
        except (StorageUnavailable, StorageFull) as error:
            log.warning("can't claim from %s: %s", queue, error)
        finally:
            self._slots[queue].release()

    def _drain(self, queue: Queue) -> None:
        context = self._context
        until = time.monotonic() + context.settings.pipeline.drain_s
        claims = 0
        while time.monotonic() < until and not context.stopping.is_set():
            if not self._rests[queue].is_over():
                return
            claimed = self._claim(queue, self._lane)
            if not claimed:
                return
            claims += 1
            if claims == 1:
                # Where one job was there may be more: wakes one further worker, which does the same.
                context.ringer.ring(queue, Lane(claimed[0].lane))
            with context.leases.holding(claimed):
                self._work(queue, claimed)
        for lane in Lane if self._lane is None else (self._lane,):
            context.ringer.ring(queue, lane)

    def _claim(self, queue: Queue, lane: Lane | None) -> list[Job]:
        settings = self._context.settings.pipeline
        # Undone by a crash of the database, the job waits again; whoever finishes it first is the only one.
        with self._context.database.transaction(durable=False) as connection:
            return jobs.claim(
                connection,
                queue,
                lane=lane,
                limit=1 if queue == "media" else settings.speech_claim,
                lease_s=settings.lease_s,
                worker=self._context.worker,
            )

    def _work(self, queue: Queue, claimed: Sequence[Job]) -> None:
        context = self._context
        waiting: list[str] = []

        def settle(job: Job, error: Exception) -> None:
            if isinstance(error, failures.SURROUNDINGS):
                waiting.append(job.id)
            self._settle(job, error)

        if context.stopping.is_set():
            for job in claimed:
                failures.hand_back(context, job)
        elif queue == "speech":
            batch = self._lane is None and claimed[0].lane == Lane.BATCH
            speech.process(context, claimed, settle, self._let_live_pass if batch else nothing)
        else:
            for job in claimed:
                try:
                    media.process(context, job)
                except Exception as error:
                    settle(job, error)
        self._rests[queue].note(waiting if len(waiting) == len(claimed) else [])

    def _let_live_pass(self) -> None:
        """Live messages that came while a batch is being transcribed are done before it goes on."""
        try:
            claimed = self._claim("speech", Lane.LIVE)
        except (StorageUnavailable, StorageFull):
            return
        if claimed:
            with self._context.leases.holding(claimed):
                speech.process(self._context, claimed, self._settle)

    def _settle(self, job: Job, error: Exception) -> None:
        failures.settle(self._context, job, error)
