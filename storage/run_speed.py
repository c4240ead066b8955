"""How fast workers have been lately, from the jobs that they have finished."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from storage.jobs import Queue


@dataclass(frozen=True)
class Speed:
    """`audio_ms_per_s` of all `workers` together; measured on so many `messages`."""

    audio_ms_per_s: float
    workers: int
    messages: int


def measured(connection: Connection, queue: Queue) -> Speed | None:
    """None where nothing was done yet."""
    row = connection.execute(_LATELY, {"queue": queue}).one()
    if not row.messages or not row.seconds or not row.audio_ms:
        return None
    workers = max(1, row.workers)
    return Speed(workers * row.audio_ms / row.seconds, workers, row.messages)


# Jobs that were claimed together began at the same moment and were done together.
_LATELY = text(
    "WITH latest AS (SELECT * FROM jobs ORDER BY id DESC LIMIT 5000),"
    " done AS (SELECT worker, started_at, updated_at, message_id FROM latest"
    " WHERE queue = :queue AND state = 'done' AND started_at IS NOT NULL ORDER BY id DESC LIMIT 400),"
    " claims AS (SELECT worker, count(*) AS messages, sum(duration_ms) AS audio_ms,"
    " extract(epoch FROM max(updated_at) - started_at) AS seconds, max(updated_at) AS ended_at"
    " FROM done JOIN voices USING (message_id) GROUP BY worker, started_at)"
    " SELECT CAST(coalesce(sum(messages), 0) AS bigint) AS messages,"
    " CAST(coalesce(sum(audio_ms), 0) AS float8) AS audio_ms, CAST(coalesce(sum(seconds), 0) AS float8) AS seconds,"
    " count(DISTINCT worker) FILTER (WHERE ended_at > clock_timestamp() - interval '10 minutes') AS workers FROM claims"
)
