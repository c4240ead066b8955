"""What a worker does with a run's job, where that differs from a message on its way."""

import logging

from pipeline.context import Context
from pipeline.reprocess_policy import judge
from storage import run_items
from storage.jobs import Job
from storage.run_items import Before, Verdict
from storage.transcripts import SpeechResult, SpeechWork
from storage.voices import MediaResult

log = logging.getLogger(__name__)


def finish_speech(context: Context, job: Job, work: SpeechWork, result: SpeechResult) -> None:
    """Raises LeaseLost. What people see is compared with the result, and decided about, in one transaction."""
    with context.database.transaction() as connection:
        before = run_items.meet(connection, job)
        verdict = judge(before, result)
        run_items.finish_speech(connection, job, work, result, verdict)
    log.info("%s transcribed again: %s %s", job.message_id, verdict.outcome, verdict.reason)


def finish_media(context: Context, job: Job, result: MediaResult) -> None:
    """Raises LeaseLost. The old renditions stay until no link to them is valid any more."""
    with context.database.transaction() as connection:
        before = run_items.meet(connection, job)
        verdict = _compare(before, result)
        run_items.finish_media(connection, job, result, before, verdict)
    log.info("%s transcoded again: %s %s", job.message_id, verdict.outcome, verdict.reason)


def _compare(before: Before, result: MediaResult) -> Verdict:
    if before.left_alone is not None:
        return Verdict("left_alone", before.left_alone)
    same = [each.sha256 for each in before.renditions] == [each.sha256 for each in result.renditions]
    return Verdict("unchanged" if same else "changed", adopted=True)


def refuse(context: Context, job: Job, reason: str) -> None:
    """Raises LeaseLost."""
    with context.database.transaction() as connection:
        run_items.refuse(connection, job, reason)
    log.warning("%s can't be done again: %s", job.message_id, reason)
