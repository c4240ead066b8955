"""Taking a run back: the versions are shown again that were there before it."""

from typing import Any

from sqlalchemy import Connection, select, text, update

from storage import run_items
from storage.runs import Run
from storage.tables import messages, runs
from storage.tables import run_items as items

_REVERTED_AT_ONCE = 200


def revert(connection: Connection, run: Run) -> bool:
    """Makes some more versions active again that were so before, unless somebody has changed it since; False when
    there are no more. The run must have been taken."""
    rows = connection.execute(_REVERTIBLE, {"run_id": run.id, "after": run.cursor or ""}).all()
    values: dict[str, Any] = {"reverted": runs.c.reverted + sum(_revert_one(connection, row) for row in rows)}
    if rows:
        values["cursor"] = rows[-1].message_id
    connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    return len(rows) == _REVERTED_AT_ONCE


def _revert_one(connection: Connection, row: Any) -> bool:
    if not connection.execute(_SHOW_AGAIN, row._asdict()).rowcount:
        return False
    if row.outcome == "changed":
        run_items.tell(connection, row.message_id, row.thread_id)
    return True


_REVERTIBLE = (
    select(items.c.message_id, items.c.previous_id, items.c.transcript_id, items.c.outcome, messages.c.thread_id)
    .outerjoin(messages, messages.c.id == items.c.message_id)
    .where(items.c.run_id == text(":run_id"), items.c.message_id > text(":after"))
    .order_by(items.c.message_id)
    .limit(_REVERTED_AT_ONCE)
    .with_for_update(of=items)
)
# Asked where it is changed: whoever changes the message at this moment is waited for, and left alone.
_SHOW_AGAIN = text(
    "UPDATE voices SET transcript_id = :previous_id"
    " WHERE message_id = :message_id AND transcript_id = :transcript_id AND corrected_text IS NULL"
)
