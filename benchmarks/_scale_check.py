"""Whether work was lost or doubled, as people, rows and objects tell it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from pipeline.context import Context
from pipeline.reaper import Reaper
from storage.keys import parse_key

_MADE = (
    "SELECT t.state, v.transcript_id = t.id AS shown FROM transcripts t JOIN voices v ON v.message_id = t.message_id"
    " WHERE t.id = ANY(:ids)"
)
_TOLD = (
    "SELECT e.message_id FROM events e JOIN transcripts t ON t.message_id = e.message_id"
    " WHERE e.type = 'transcript.completed' AND t.id = ANY(:ids) AND e.created_at >= t.created_at"
)


def check(context: Context, versions: Mapping[str, str]) -> dict[str, int]:
    """Counts of what is wrong with these versions by message, all 0, and of the jobs that were taken from a worker."""
    ids = list(versions.values())
    made = rows(context, _MADE, ids=ids)
    told = Counter(row.message_id for row in rows(context, _TOLD, ids=ids))
    wrong = {
        "lost": len(versions) - sum(row.state == "completed" and row.shown for row in made),
        "told_twice": sum(count > 1 for count in told.values()),
        "told_never": len(versions) - len(told),
        **_objects(context, versions),
    }
    faults = [name for name, count in wrong.items() if count]
    print(
        f"{len(versions)} messages: {'WRONG: ' + ', '.join(faults) if faults else 'none lost, none doubled'}",
        flush=True,
    )
    again = rows(context, "SELECT 1 FROM jobs WHERE alone AND transcript_id = ANY(:ids)", ids=ids)
    return {"messages": len(versions), **wrong, "taken_back": len(again)}


def rows(context: Context, statement: str, **values: object) -> list[Any]:
    with context.database.transaction() as connection:
        result = connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


def now(context: Context) -> float:
    """By the database's clock."""
    return float(rows(context, "SELECT extract(epoch FROM clock_timestamp()) AS at")[0].at)


def _objects(context: Context, versions: Mapping[str, str]) -> dict[str, int]:
    """One for each version that was ever made, once what dead workers had put is swept."""
    rows(context, "UPDATE intents SET expires_at = clock_timestamp() - interval '1 s'")
    Reaper(context).sweep_intents()
    prefix = context.settings.storage.s3_prefix
    keys = [parse_key(prefix, found.key) for found in context.store.list(f"{prefix}/")]
    stored = Counter(key.message_id for key in keys if key)
    stated = Counter(
        row.message_id for row in rows(context, "SELECT message_id FROM transcripts WHERE object_key IS NOT NULL")
    )
    return {
        "objects_too_many": sum(max(0, stored[message] - stated[message]) for message in versions),
        "objects_missing": sum(max(0, stated[message] - stored[message]) for message in versions),
    }
