"""How much each user sent in the current hour, and how many uploads they have open."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from storage.tables import upload_usage, uploads

_HOUR = func.date_trunc("hour", func.clock_timestamp())
_KEPT = timedelta(hours=2)


@dataclass(frozen=True)
class Usage:
    messages: int
    bytes: int


@dataclass(frozen=True)
class Allowance:
    """What a user may send in one hour."""

    messages: int
    bytes: int

    @property
    def values(self) -> dict[str, int]:
        return {"most_messages": self.messages, "most_bytes": self.bytes}


def current(connection: Connection, user_id: str) -> Usage:
    query = select(upload_usage.c.messages, upload_usage.c.bytes).where(
        upload_usage.c.user_id == user_id, upload_usage.c.hour == _HOUR
    )
    row = connection.execute(query).first()
    return Usage(row.messages, row.bytes) if row else Usage(0, 0)


def add(connection: Connection, user_id: str, size: int) -> Usage:
    """One message of `size` bytes more. The user's row stays locked until commit, so that counts are exact."""
    statement = insert(upload_usage).values(user_id=user_id, hour=_HOUR, messages=1, bytes=size)
    row = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id", "hour"],
            set_={
                "messages": upload_usage.c.messages + statement.excluded.messages,
                "bytes": upload_usage.c.bytes + statement.excluded.bytes,
            },
        ).returning(upload_usage.c.messages, upload_usage.c.bytes)
    ).one()
    return Usage(row.messages, row.bytes)


def open_uploads(connection: Connection, user_id: str) -> int:
    query = select(func.count()).where(
        uploads.c.user_id == user_id, uploads.c.state == "open", uploads.c.expires_at > func.clock_timestamp()
    )
    return connection.execute(query).scalar_one()


def forget_old(connection: Connection) -> None:
    connection.execute(delete(upload_usage).where(upload_usage.c.hour < func.clock_timestamp() - _KEPT))
