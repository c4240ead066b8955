"""What becomes of a job that could not be done: thrown away, tried again without blame, or counted against it."""

import logging

from sqlalchemy import Connection

from pipeline.context import Context, Stopping
from storage import jobs, run_items, transcripts, voices
from storage.errors import AudioGone, LeaseLost, StorageFull, StorageUnavailable
from storage.jobs import DeadJob, Job
from transcode import JailError
from transcribe import ModelError, TranscribeError

log = logging.getLogger(__name__)
# What would meet any other job here as well: storage, disk, memory of the machine, a jail that can't be put up.
SURROUNDINGS = (StorageUnavailable, StorageFull, JailError, OSError, MemoryError)
# What the job did not cause. The jobs of a run wait until a worker has the model that it asks for.
INFRASTRUCTURE = (*SURROUNDINGS, ModelError)


def settle(context: Context, job: Job, error: Exception) -> None:
    """Never raises: when even this can't be written down the lease expires and the reaper takes the job back."""
    try:
        if isinstance(error, LeaseLost):
            log.info("%s thrown away: %s", job.id, error)
        elif isinstance(error, Stopping):
            hand_back(context, job)
        elif isinstance(error, INFRASTRUCTURE) and not _is_asked_in_vain(job, error):
            log.warning("%s waits: %s", job.id, error)
            _requeue(context, job, error)
        else:
            log.exception("%s failed", job.id, exc_info=error)
            _blame(context, job, error)
    except LeaseLost as lost:
        log.info("%s thrown away: %s", job.id, lost)
    except (StorageUnavailable, StorageFull) as outage:
        log.warning("%s is left to its lease: %s", job.id, outage)


def hand_back(context: Context, job: Job) -> None:
    """The worker stops before it has done this job, or even begun with it."""
    try:
        with context.database.transaction() as connection:
            jobs.requeue(connection, job, reason=None, delay_s=0)
    except (LeaseLost, StorageUnavailable, StorageFull) as error:
        log.warning("%s not handed back: %s", job.id, error)


def bury(connection: Connection, dead: DeadJob, cause: str = "worker_died", advice: str | None = None) -> None:
    """Tells the message that its job was given up, or the run. The original is kept and the job can be revived.

    With `advice` on what the sender can put right, `cause` and that are told instead of a general apology.
    """
    if dead.run_id is not None:
        run_items.give_up(connection, dead.run_id, dead.message_id, cause)
    elif dead.queue == "media":
        voices.fail(
            connection,
            dead.message_id,
            code="processing_failed",
            message="We could not process this recording. It is kept, and we can try again.",
            quiet=dead.quiet,
        )
    elif dead.transcript_id is not None:
        transcripts.fail(
            connection,
            dead.transcript_id,
            code=cause if advice else "transcription_failed",
            message=advice or "We could not transcribe this recording. It can be tried again.",
            quiet=dead.quiet,
        )


def _is_asked_in_vain(job: Job, error: Exception) -> bool:
    """A person asked for a model that is not here. Another worker may have it; none of five tries found that one."""
    return isinstance(error, ModelError) and error.code == "model_missing" and job.run_id is None


def _requeue(context: Context, job: Job, error: Exception) -> None:
    with context.database.transaction() as connection:
        jobs.requeue(connection, job, reason=f"{type(error).__name__}: {error}"[:500])


def _blame(context: Context, job: Job, error: Exception) -> None:
    # The engine says of a clip that it can't be done, or there is nothing to do it with: it is the same next time.
    final = isinstance(error, (TranscribeError, AudioGone))
    with context.database.transaction() as connection:
        if jobs.blame(connection, job, reason=f"{type(error).__name__}: {error}"[:500], final=final):
            dead = DeadJob(job.id, job.queue, job.message_id, job.transcript_id, job.run_id, job.quiet)
            bury(connection, dead, _cause(error), _advice(error))


def _cause(error: Exception) -> str:
    """A short code, of which there are few, so that failures can be counted by it."""
    if isinstance(error, TranscribeError | ModelError):
        return error.code
    return "audio_gone" if isinstance(error, AudioGone) else type(error).__name__


def _advice(error: Exception) -> str | None:
    """For whoever asked for what there is not; all else is ours to put right."""
    if isinstance(error, ModelError):
        return "The model that was asked for is not available."
    return error.message if isinstance(error, TranscribeError) and error.code == "unknown_language" else None
