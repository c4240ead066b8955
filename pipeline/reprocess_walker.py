"""A step of the reaper: moves runs on, a page at a time, just ahead of the workers.

Any number of copies may run: a run is locked while it is moved, and others pass it by. Where a run is stands in its
row, so a copy that dies has neither passed over a message nor queued one twice.
"""

import logging
import time

from sqlalchemy import Connection

from pipeline.context import Context
from storage import run_jobs, run_reversal, run_walk, runs
from storage.errors import StorageFull, StorageUnavailable
from storage.jobs import Lane
from storage.runs import Run

log = logging.getLogger(__name__)
# A run has so many seconds' worth of jobs queued, some to begin with. All runs have their jobs in one queue and equally
# many of them, so that none has more of the workers than another.
_AHEAD_S = 10.0
_FEWEST_AHEAD = 256
_MOST_AHEAD = 5000
_TURN_S = 1.0


def walk(context: Context) -> None:
    with context.database.transaction() as connection:
        moving = runs.moving(connection)
    for run_id in moving:
        until = time.monotonic() + _TURN_S
        try:
            while _move(context, run_id) and time.monotonic() < until:
                pass
        except (StorageUnavailable, StorageFull):
            raise
        except Exception:
            # A defect that one run meets must not keep the others.
            log.exception("run %s can't be moved on", run_id)


def _move(context: Context, run_id: str) -> bool:
    """One step; True when another may follow at once."""
    with context.database.transaction() as connection:
        run = runs.take(connection, run_id)
        if run is None:
            return False
        if run.state == "paused":
            # What a worker handed back since.
            run_jobs.hold(connection, run.id)
            return False
        if run.state == "reverting":
            return _revert(connection, run)
        queued, more = _queue(connection, run)
    if queued:
        context.ringer.ring(runs.QUEUE_OF[run.kind], Lane.BATCH)
    return more


def _queue(connection: Connection, run: Run) -> tuple[int, bool]:
    progress = runs.progress(connection, run.id)
    runs.measure(connection, run, progress.done)
    if run.walked:
        if not progress.open:
            runs.complete(connection, run, "completed")
            log.info("run %s is completed: %d messages", run.id, progress.done)
        return 0, False
    ahead = round(runs.share(connection, run.kind) * _AHEAD_S)
    room = min(_MOST_AHEAD, max(_FEWEST_AHEAD, ahead)) - progress.open
    if room <= 0:
        return 0, False
    step = run_walk.queue(connection, run, room)
    return step.queued, step.may_go_on


def _revert(connection: Connection, run: Run) -> bool:
    more = run_reversal.revert(connection, run)
    if not more:
        runs.complete(connection, run, "reverted")
        log.info("run %s is reverted", run.id)
    return more
