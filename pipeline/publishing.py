"""Putting a job's results into the object store so that none is ever orphaned and none outlives its message."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from pipeline.context import Context
from storage import intents, jobs
from storage.errors import LeaseLost, ObjectSwept, StorageFull, StorageUnavailable
from storage.jobs import Job

log = logging.getLogger(__name__)
# A dead worker's objects are swept after this; a live one has long finished or lost its lease by then.
INTENT_TTL_S = 900
_PATIENCE_S = (0.2, 0.5, 1, 2, 4, 8, 8, 8)


@dataclass(frozen=True)
class Artifact:
    """One object to be stored: a file or bytes, of `size` bytes."""

    key: str
    body: Path | bytes
    size: int
    sha256: str
    content_type: str


def publish(context: Context, job: Job, artifacts: Sequence[Artifact], commit: Callable[[], None]) -> None:
    """Declares the keys, puts the objects side by side, then runs `commit`, which writes the rows that refer to them.

    Raises LeaseLost: nothing is put when it was lost before, and what was put is given up for the sweep. Raises
    ObjectSwept when this took so long that the sweep has been there.
    """
    refused = declare(context, [(job, [artifact.key for artifact in artifacts])])
    if job.id in refused:
        raise refused[job.id]
    store(context, job, artifacts, commit)


def declare(context: Context, wanted: Sequence[tuple[Job, Sequence[str]]]) -> dict[str, Exception]:
    """Writes down the keys that are about to be put for these jobs; those jobs that may not put them are returned with
    the reason: LeaseLost, or StorageUnavailable where an object of the same name is being swept."""
    with context.database.transaction() as connection:
        held = jobs.still_held(connection, [job for job, _ in wanted])
        owners = {key: job.message_id for job, keys in wanted if job.id in held for key in keys}
        declared = intents.declare_all(connection, owners, ttl_s=INTENT_TTL_S)
    refused: dict[str, Exception] = {job.id: jobs.lost(job) for job, _ in wanted if job.id not in held}
    swept = (job.id for job, keys in wanted if job.id in held and not declared.issuperset(keys))
    return refused | {job_id: intents.being_swept() for job_id in swept}


def store(context: Context, job: Job, artifacts: Sequence[Artifact], commit: Callable[[], None]) -> None:
    """Puts the objects, whose keys must have been declared, then runs `commit`. Raises as `publish` does."""
    _put_all(context, artifacts)
    try:
        patiently(context, commit)
    except (LeaseLost, ObjectSwept):
        _withdraw(context, job, [artifact.key for artifact in artifacts])
        raise


def _put_all(context: Context, artifacts: Sequence[Artifact]) -> None:
    if len(artifacts) == 1:
        return _put(context, artifacts[0])
    with ThreadPoolExecutor(len(artifacts)) as pool:
        # Listed, so that an error of any of them is raised.
        list(pool.map(partial(_put, context), artifacts))


def patiently(context: Context, step: Callable[[], None]) -> None:
    """Runs a fenced transaction again and again through a short outage, rather than losing finished work."""
    for pause in _PATIENCE_S:
        try:
            return step()
        except ObjectSwept:
            raise
        except (StorageUnavailable, StorageFull) as error:
            log.warning("the result waits for the database: %s", error)
            if context.stopping.wait(pause):
                break
    step()


def _put(context: Context, artifact: Artifact) -> None:
    with BytesIO(artifact.body) if isinstance(artifact.body, bytes) else artifact.body.open("rb") as body:
        context.store.put(
            artifact.key, body, size=artifact.size, content_type=artifact.content_type, sha256=artifact.sha256
        )


def _withdraw(context: Context, job: Job, keys: Sequence[str]) -> None:
    """Unless somebody else works on the job now, who makes the same bytes under the same keys, and settles them."""
    try:
        with context.database.transaction() as connection:
            if not jobs.is_anothers(connection, job):
                intents.withdraw(connection, job.message_id, keys)
    except (StorageUnavailable, StorageFull):
        log.warning("objects of a lost lease are left to the sweep")
