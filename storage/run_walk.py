"""Walking a run's messages by key, a page at a time: each page costs the same, wherever it is.

A page is a stretch of keys of fixed length, of which those are taken that the filter matches. So a filter that
matches little makes no statement long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CTE, ColumnElement, Connection, Select, Text, and_, cast, func, select, text, update

from storage import run_jobs
from storage.runs import QUEUE_OF, Filter, Kind, Plan, Run, last_message
from storage.tables import messages, run_ids, runs, transcripts, voices

_LONGEST_PAGE = 1000
_SHORTEST_PAGE = 100
SURVEY_PAGE = 10_000
# A worker that was away for long is not to be met by all that the rate would have allowed meanwhile.
_MOST_CREDIT_S = 10.0


@dataclass(frozen=True)
class Walk:
    """Which messages: those that `filter` matches, up to `until`, in the order of their keys."""

    kind: Kind
    filter: Filter
    until: str
    # Whose ids are the only ones looked at; the filter's own where there is no run yet.
    run_id: str | None = None


@dataclass(frozen=True)
class Step:
    """How many of a page's messages were queued, and whether the next page may have more right now."""

    queued: int
    may_go_on: bool


def survey(connection: Connection, walk: Walk, after: str) -> tuple[int, int, str | None]:
    """Of the next messages behind `after`: how many match, their milliseconds, and the last id, None at the end."""
    keys = _keys(walk, after, SURVEY_PAGE)
    matching = _matching(walk)
    row = connection.execute(
        select(
            func.count().filter(matching),
            func.coalesce(func.sum(voices.c.duration_ms).filter(matching), 0),
            func.count(),
            func.max(keys.c.id),
        ).select_from(_joined(keys))
    ).one()
    return row[0], row[1], row[3] if row[2] == SURVEY_PAGE else None


def queue(connection: Connection, run: Run, room: int) -> Step:
    """Queues up to `room` of the next page's messages; the run must have been taken."""
    wanted = min(room, _credit(connection, run), _left(run))
    if wanted <= 0:
        return Step(0, False)
    length = min(_LONGEST_PAGE, max(_SHORTEST_PAGE, 2 * wanted))
    walk = Walk(run.kind, restored(run.filter), run.until, run.id)
    keys = _keys(walk, run.cursor or "", length)
    columns = (keys.c.id, voices.c.message_id, voices.c.transcript_id, _matching(walk).label("matches"))
    rows = connection.execute(select(*columns).select_from(_joined(keys)).order_by(keys.c.id)).all()
    passed, chosen = _take(rows, wanted)
    queued = _add(connection, run, chosen)
    is_all = run.at_most is not None and run.queued + queued >= run.at_most
    at_end = is_all or len(passed) == len(rows) < length
    _move(connection, run, passed[-1].id if passed else run.cursor, queued, at_end)
    return Step(queued, not at_end and queued < room)


def restored(stored: Mapping[str, Any]) -> Filter:
    """A filter from the JSON that it was stored as; its ids are in their table, so here it has none."""
    values = dict(stored)
    values["ids"] = () if "ids" in values else None
    for name in ("created_after", "created_before"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return Filter(**values)


def planned(connection: Connection, plan: Plan) -> Walk:
    """The walk of a run that does not exist yet."""
    return Walk(plan.kind, plan.filter, last_message(connection))


def known_messages(connection: Connection) -> int:
    """About how many voice messages there are."""
    estimate = text("SELECT CAST(reltuples AS bigint) FROM pg_class WHERE oid = 'voices'::regclass")
    return int(connection.execute(estimate).scalar_one())


def _take(rows: Sequence[Any], wanted: int) -> tuple[Sequence[Any], list[Any]]:
    """The rows up to the last one that is wanted, and the wanted ones among them."""
    chosen: list[Any] = []
    for number, row in enumerate(rows):
        if row.matches:
            if len(chosen) == wanted:
                return rows[:number], chosen
            chosen.append(row)
    return rows, chosen


def _add(connection: Connection, run: Run, chosen: Sequence[Any]) -> int:
    if not chosen:
        return 0
    values = {
        "run_id": run.id,
        "messages": [row.message_id for row in chosen],
        "previous": [row.transcript_id for row in chosen],
    }
    fresh = connection.execute(_ADD_ITEMS, values).scalars().all()
    spacing_s = 1 / run.rate_limit if run.rate_limit else 0.0
    delays = {message_id: number * spacing_s for number, message_id in enumerate(fresh)}
    run_jobs.add(connection, QUEUE_OF[run.kind], run.id, delays)
    return len(fresh)


def _move(connection: Connection, run: Run, cursor: str | None, queued: int, at_end: bool) -> None:
    """In the transaction that queues: whatever dies, nothing is passed over and nothing queued twice."""
    values = {
        "cursor": cursor,
        "queued": runs.c.queued + queued,
        "credit": runs.c.credit - queued,
        "walked": at_end,
        "total": func.greatest(runs.c.total, runs.c.queued + queued),
    }
    if at_end:
        values |= {"total": runs.c.queued + queued, "total_exact": True}
    connection.execute(update(runs).where(runs.c.id == run.id).values(**values))


def _credit(connection: Connection, run: Run) -> int:
    """How many the rate limit allows by now."""
    if run.rate_limit is None:
        return _LONGEST_PAGE
    values = {"run_id": run.id, "rate": run.rate_limit, "most": max(1.0, run.rate_limit * _MOST_CREDIT_S)}
    return int(connection.execute(_GRANT, values).scalar_one())


def _left(run: Run) -> int:
    return _LONGEST_PAGE if run.at_most is None else run.at_most - run.queued


def _keys(walk: Walk, after: str, length: int) -> CTE:
    """The ids of the next messages."""
    return _source(walk, after).order_by(text("id")).limit(length).cte("keys").prefix_with("MATERIALIZED")


def _source(walk: Walk, after: str) -> Select[Any]:
    chosen = walk.filter
    if chosen.ids is not None:
        if walk.run_id is None:
            given = func.unnest(cast(sorted(set(chosen.ids)), ARRAY(Text))).table_valued("id").render_derived()
            return select(given.c.id).where(given.c.id > after)
        mine = (run_ids.c.run_id == walk.run_id) & (run_ids.c.message_id > after)
        return select(run_ids.c.message_id.label("id")).where(mine)
    if chosen.thread_id is not None:
        inside = (messages.c.thread_id == chosen.thread_id) & (messages.c.id > after)
        return select(messages.c.id).where(inside)
    if chosen.sender_id is not None:
        sent = (messages.c.sender_id == chosen.sender_id) & (messages.c.id > after)
        return select(messages.c.id).where(sent)
    every = (voices.c.message_id > after) & (voices.c.message_id <= walk.until)
    return select(voices.c.message_id.label("id")).where(every)


def _joined(keys: CTE) -> Any:
    """Only what the filter needs: a page without it costs less."""
    return (
        keys.outerjoin(voices, voices.c.message_id == keys.c.id)
        .outerjoin(messages, messages.c.id == keys.c.id)
        .outerjoin(transcripts, transcripts.c.id == voices.c.transcript_id)
    )


def _matching(walk: Walk) -> ColumnElement[bool]:
    """False rather than unknown, for it is also shown."""
    return func.coalesce(and_(_eligible(walk.kind), *_conditions(walk)), False)


def _eligible(kind: Kind) -> ColumnElement[bool]:
    ready = voices.c.state == "ready"
    if kind == "transcode":
        # Where retention has let renditions go they are not to come back.
        return ready & (func.jsonb_array_length(voices.c.renditions) > 0)
    # A person's correction stands; a first version that is being made needs no second; texts that retention has let
    # go are not to come back.
    made = transcripts.c.state.in_(("completed", "no_speech", "failed"))
    return ready & made & voices.c.corrected_text.is_(None)


def _conditions(walk: Walk) -> list[ColumnElement[bool]]:
    chosen = walk.filter
    columns = {
        "model": transcripts.c.model,
        "model_version": transcripts.c.model_version,
        "language": transcripts.c.language,
        "state": transcripts.c.state,
        "thread_id": messages.c.thread_id,
        "sender_id": messages.c.sender_id,
    }
    found: list[ColumnElement[bool]] = [voices.c.message_id <= walk.until]
    found += [column == getattr(chosen, name) for name, column in columns.items() if getattr(chosen, name) is not None]
    if chosen.confidence_below is not None:
        found.append(transcripts.c.confidence < chosen.confidence_below)
    if chosen.created_after is not None:
        found.append(messages.c.created_at >= chosen.created_after)
    if chosen.created_before is not None:
        found.append(messages.c.created_at < chosen.created_before)
    return found


_ADD_ITEMS = text(
    "INSERT INTO run_items (run_id, message_id, previous_id)"
    " SELECT :run_id, * FROM unnest(CAST(:messages AS text[]), CAST(:previous AS text[]))"
    " ON CONFLICT DO NOTHING RETURNING message_id"
)
_GRANT = text(
    "UPDATE runs SET credited_at = clock_timestamp(), credit = least(:most,"
    " credit + :rate * extract(epoch FROM clock_timestamp() - credited_at)) WHERE id = :run_id RETURNING credit"
)
