"""Cursors: opaque to clients, checked when they come back."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from api.errors import Problem
from storage.ids import is_id

MAX_SEQ = 2**63 - 1
Item = TypeVar("Item", bound=BaseModel)
Row = TypeVar("Row")
Limit = Annotated[int, Query(ge=1, le=100, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """Of `limit` + 1 rows: the page, and its last row when another page follows."""
    return rows[:limit], rows[limit - 1] if len(rows) > limit else None


def encode(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_seq(cursor: str | None) -> int | None:
    match _parts(cursor):
        case None:
            return None
        case [int(seq)] if type(seq) is int and abs(seq) <= MAX_SEQ:  # Not a bool, which is an int to Python alone.
            return seq
    raise _broken()


def decode_id(cursor: str | None, prefix: str) -> str | None:
    match _parts(cursor):
        case None:
            return None
        case [str(item)] if is_id(prefix, item):
            return item
    raise _broken()


def decode_moment(cursor: str | None, prefix: str) -> tuple[datetime, str] | None:
    match _parts(cursor):
        case None:
            return None
        case [str(text), str(item)] if is_id(prefix, item):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise _broken() from None
            if moment.tzinfo is not None:
                return moment, item
    raise _broken()


def _parts(cursor: str | None) -> Any:
    if cursor is None:
        return None
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(decoded)
    except (binascii.Error, ValueError, RecursionError):
        raise _broken() from None
    if not isinstance(parts, list):
        raise _broken()
    return parts


def _broken() -> Problem:
    return Problem("invalid_request", "this cursor is none of ours: leave it out to begin at the first page")
