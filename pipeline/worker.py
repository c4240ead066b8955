"""`earshot worker`: a Celery worker whose tasks drain the queues."""

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from pipeline.celery_app import bell, create_celery
from pipeline.context import Context, assemble
from pipeline.draining import Drain
from pipeline.work_folders import clear_left
from storage.jobs import Lane, Queue
from transcode import jail_report

log = logging.getLogger(__name__)
# How long messages wait at most for a worker that no ring reaches.
_LOOK_S = 10.0


def run(queues: Sequence[Queue], lane: Lane | None = None) -> int:
    """Works until it is told to stop, then finishes what it has in hand; returns the exit status."""
    context = assemble()
    clear_left()
    if "media" in queues:
        log.info("jail: %s", jail_report())
    if "speech" in queues:
        # Loaded before the first ring is heard, so that no message waits for it.
        log.info("model: %s", context.engine.model)
    drain = Drain(context, lane)
    app = create_celery(context.settings.pipeline.broker_url, drain)
    stop = _stop_with(context)
    lanes = tuple(Lane) if lane is None else (lane,)
    start = _start_with(context, queues, lanes)
    worker_shutting_down.connect(stop, weak=False)
    worker_ready.connect(start, weak=False)
    worker = app.Worker(
        queues=[bell(queue, each) for queue in queues for each in lanes],
        pool="threads",
        concurrency=_threads(context, queues),
        loglevel="INFO",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    lookers = [_looking(context, drain, queue) for queue in queues]
    try:
        worker.start()
    finally:
        context.stopping.set()
        for looker in lookers:
            looker.join()
        context.close()
    return int(worker.exitcode or 0)


def _looking(context: Context, drain: Callable[[Queue], None], queue: Queue) -> threading.Thread:
    """Looks for work without being rung for, once in a while: a broker that is away, or that our client does not hear
    any more, delays messages and stops none. And for what a worker beside this one left when it was killed."""

    def look() -> None:
        while not context.stopping.wait(_LOOK_S):
            try:
                clear_left()
                drain(queue)
            except Exception:
                log.exception("looking for work in %s failed", queue)

    thread = threading.Thread(target=look, name=f"looks-{queue}")
    thread.start()
    return thread


def _threads(context: Context, queues: Sequence[Queue]) -> int:
    # One more than the slots, so that a ring is never stuck behind those at work.
    return (context.settings.pipeline.media_slots if "media" in queues else 0) + ("speech" in queues) + 1


def _stop_with(context: Context) -> Any:
    def stop(**_: object) -> None:
        context.stopping.set()

    return stop


def _start_with(context: Context, queues: Sequence[Queue], lanes: Sequence[Lane]) -> Any:
    def start(**_: object) -> None:
        # What came while nobody listened has rung in vain.
        for queue, lane in product(queues, lanes):
            context.ringer.ring(queue, lane)

    return start
