"""A fresh start for jobs that were given up, and for the messages that were told so."""

from collections.abc import Sequence

from sqlalchemy import Connection

from storage import jobs, transcripts, voices
from storage.jobs import DeadJob


def revive(connection: Connection, ids: Sequence[str] | None) -> list[DeadJob]:
    """These jobs, or every dead one when `ids` is None or empty; returns those that were dead."""
    revived = jobs.revive(connection, ids or None)
    for job in revived:
        if job.run_id is not None:
            # Its message was never told; its item is counted anew when there is a result.
            continue
        if job.queue == "media":
            voices.revive(connection, job.message_id)
        elif job.transcript_id is not None:
            transcripts.revive(connection, job.transcript_id)
    return revived
