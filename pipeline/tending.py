"""What becomes of uploads that nobody asks about any more; steps of the reaper."""

import logging

from ingest.finishing import Finisher
from ingest.quota import Quota
from ingest.recent import Recent
from ingest.voice import Intake
from pipeline.context import Context
from storage import upload_tending
from storage.keys import upload_key

log = logging.getLogger(__name__)
# Longer than a request needs to finish an upload itself.
_UNTOUCHED_S = 30.0


def finish_full(context: Context) -> None:
    """Makes the messages of uploads whose client was told that all bytes are durable, and never came back."""
    with context.database.transaction() as connection:
        waiting = upload_tending.claim_full(connection, untouched_s=_UNTOUCHED_S)
    if waiting:
        finisher = _finisher(context)
        for upload in waiting:
            finisher.finish(upload)
        log.info("finished %d uploads that had all their bytes", len(waiting))


def sweep_uploads(context: Context) -> None:
    """Deletes what lies under the keys of direct uploads once nobody can write there any more."""
    with context.database.transaction() as connection:
        due = upload_tending.due_sweeps(connection)
        if due:
            context.store.delete(upload_key(context.settings.storage.s3_prefix, upload_id) for upload_id in due)
            upload_tending.swept(connection, due)


def forget_uploads(context: Context) -> None:
    with context.database.transaction() as connection:
        forgotten = upload_tending.forget_expired(connection)
    if forgotten:
        log.info("forgot %d expired uploads", forgotten)


def _finisher(context: Context) -> Finisher:
    settings = context.settings
    intake = Intake(context.database, context.store, settings.storage.s3_prefix, Quota(settings.ingest))
    return Finisher(context.database, intake, Recent(), context.ringer.ring)
