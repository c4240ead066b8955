"""Uploads that take more than one request, and the bytes that came so far.

Chunks are rows, written in the transaction that moves the offset, so that any process can go on and what is reported is
durable. At most one request holds an upload at a time; a holder that was passed over finds that it may not write.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    Text,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    update,
)

from storage.driver import Query, Statement
from storage.errors import NoThread
from storage.ids import new_id
from storage.tables import NOW, participants, upload_chunks, uploads

Method = Literal["tus", "direct"]
# How long an upload waits for its next byte.
OPEN_TTL = timedelta(hours=24)
# How long a finished one can be asked for its message.
FINISHED_TTL = timedelta(days=7)
# How long the URL of a direct upload is good for; a PUT that began in its last second has ended an hour later.
URL_TTL = timedelta(hours=1)
PUTS_END_AFTER = URL_TTL + timedelta(hours=1)
_ROWS_AT_ONCE = 4


@dataclass(frozen=True)
class NewUpload:
    """`length` in bytes; `content_type` and `sha256` (hex) are what a direct upload's sender says of it."""

    user_id: str
    method: Method
    thread_id: str
    length: int
    language: str | None = None
    external_id: str | None = None
    metadata: str | None = None
    content_type: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class StoredUpload:
    """`received` bytes are durable. `state` is open, finished (then `message_id` is set) or refused (`error_code`)."""

    id: str
    user_id: str
    method: Method
    thread_id: str
    language: str | None
    external_id: str | None
    metadata: str | None
    content_type: str | None
    sha256: str | None
    length: int
    received: int
    state: Literal["open", "finished", "refused"]
    message_id: str | None
    error_code: str | None
    error_message: str | None
    holder: str | None
    expires_at: datetime
    expired: bool

    @property
    def is_full(self) -> bool:
        return self.received == self.length

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        return cls(**row._mapping)


class NotAccepted(Exception):
    """The upload is not as the writer believed: held, moved on, ended, expired or gone. Read it again."""


def create(connection: Connection, new: NewUpload) -> StoredUpload:
    """One statement; raises NoThread for who is not in the thread, who stays in it before the transaction ends."""
    rows = _CREATE.rows(connection, {**new.__dict__, "id": new_id("upl")})
    if not rows:
        raise NoThread
    return StoredUpload(*rows[0])


def get(connection: Connection, upload_id: str, user_id: str, method: Method) -> StoredUpload | None:
    """None when there is no such upload of this user, by this method."""
    row = connection.execute(_GET, {"upload": upload_id, "user": user_id, "by": method}).first()
    return None if row is None else StoredUpload.of(row)


def hold(upload_id: str, user_id: str, offset: int, size: int, holder: str) -> Query[StoredUpload]:
    """Makes `holder` the one that may append, `size` bytes at least, at `offset`; raises NotAccepted."""
    return Query(_HOLD, _place(upload_id, user_id, offset, size) | {"next_holder": holder}, _changed)


def append(
    upload_id: str, user_id: str, offset: int, piece: bytes, *, holder: str | None, keep: bool
) -> Query[StoredUpload]:
    """Adds `piece` behind `offset` in the name of `holder`, who stays it when told to `keep`; raises NotAccepted.

    One statement. With no holder the upload must be free. What is full is held under its own id until it is finished.
    """
    held = {"holder": holder, "next_holder": holder if keep else None}
    return Query(_APPEND, _place(upload_id, user_id, offset, len(piece)) | held | {"piece": piece}, _changed)


def let_go(connection: Connection, upload_id: str, holder: str) -> None:
    """Gives the upload free, whether the holder does it itself or was too slow to be waited for."""
    connection.execute(
        update(uploads).where(uploads.c.id == upload_id, uploads.c.holder == holder).values(holder=None, asked=False)
    )


def ask(connection: Connection, upload_id: str) -> None:
    """Tells the holder, in whatever process, that another request waits for it."""
    connection.execute(
        update(uploads).where(uploads.c.id == upload_id, uploads.c.holder.is_not(None)).values(asked=True)
    )


def holder_of(connection: Connection, upload_id: str) -> str | None:
    return connection.execute(select(uploads.c.holder).where(uploads.c.id == upload_id)).scalar()


def undisturbed(connection: Connection, holders: Iterable[tuple[str, str]]) -> set[str]:
    """Those holders of (upload id, holder) that still hold and were not asked to let go."""
    pairs = list(holders)
    rows = connection.execute(
        select(uploads.c.holder).where(uploads.c.id.in_({pair[0] for pair in pairs}), uploads.c.asked.is_(False))
    ).scalars()
    return set(rows) & {pair[1] for pair in pairs}


def head(connection: Connection, upload_id: str, size: int) -> bytes:
    """The first bytes, at most `size`, of what came so far."""
    rows = connection.execute(
        select(func.substring(upload_chunks.c.data, 1, size))
        .where(upload_chunks.c.upload_id == upload_id, upload_chunks.c.start < size)
        .order_by(upload_chunks.c.start)
    ).scalars()
    return b"".join(rows)[:size]


def chunks(connection: Connection, upload_id: str) -> Iterator[bytes]:
    """All that came, in order, a few rows in memory at a time."""
    after = -1
    while rows := _CHUNKS.rows(connection, {"upload": upload_id, "after": after}):
        for _, data in rows:
            yield data
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1][0]


def finish(connection: Connection, upload: StoredUpload, message_id: str) -> None:
    """For the transaction that makes the message; raises NotAccepted when another one was quicker, or it was ended."""
    _end(connection, _FINISH, upload.id, message_id=message_id)


def complete(connection: Connection, upload: StoredUpload, message_id: str) -> None:
    """`finish` for one whose last bytes are in the message already and never were in a row; raises NotAccepted as
    `append` would have."""
    _end(connection, _COMPLETE, upload.id, message_id=message_id, offset=upload.received)


def refuse(connection: Connection, upload_id: str, code: str, message: str) -> None:
    """Raises NotAccepted when it was ended meanwhile."""
    _end(connection, _REFUSE, upload_id, error_code=code, error_message=message)


def terminate(connection: Connection, upload_id: str) -> None:
    """Forgets the upload and all that came of it; a message made of it stays."""
    connection.execute(delete(uploads).where(uploads.c.id == upload_id))


def strip(connection: Connection, user_ids: Iterable[str], message_ids: Iterable[str]) -> None:
    """Forgets what these users' uploads said of recordings whose messages were deleted; which message it was stays."""
    mine = uploads.c.user_id.in_(list(user_ids)) & uploads.c.message_id.in_(list(message_ids))
    connection.execute(update(uploads).where(mine).values(metadata=None, sha256=None))


def url_given(connection: Connection, upload_id: str) -> None:
    """Somebody may put an object under the upload's key for URL_TTL from now."""
    connection.execute(
        update(uploads).where(uploads.c.id == upload_id).values(touched_at=NOW, sweep_at=_from_now(PUTS_END_AFTER))
    )


def _end(connection: Connection, statement: Statement, upload_id: str, **values: str | int) -> None:
    if not statement.rows(connection, {"upload": upload_id, **values}):
        raise NotAccepted


def _place(upload_id: str, user_id: str, offset: int, size: int) -> dict[str, Any]:
    return {"upload": upload_id, "user": user_id, "offset": offset, "after": offset + size}


def _changed(rows: list[tuple[Any, ...]]) -> StoredUpload:
    if not rows:
        raise NotAccepted
    return StoredUpload(*rows[0])


def _from_now(time: timedelta) -> Any:
    return func.clock_timestamp() + time


FIELDS = (
    *(uploads.c[name] for name in StoredUpload.__dataclass_fields__ if name != "expired"),
    (uploads.c.expires_at < func.clock_timestamp()).label("expired"),
)
# Made once: to put one of these together takes as long as to run it.
_AFTER, _NEXT_HOLDER = bindparam("after", type_=BigInteger), bindparam("next_holder", type_=Text)
_GET = select(*FIELDS).where(
    uploads.c.id == bindparam("upload"), uploads.c.user_id == bindparam("user"), uploads.c.method == bindparam("by")
)
_FITTING = update(uploads).where(
    uploads.c.id == bindparam("upload"),
    uploads.c.user_id == bindparam("user"),
    uploads.c.state == "open",
    uploads.c.method == "tus",
    uploads.c.received == bindparam("offset"),
    uploads.c.length >= _AFTER,
    uploads.c.expires_at > func.clock_timestamp(),
)
_HOLD = Statement(
    _FITTING.where(uploads.c.holder.is_(None), uploads.c.received < uploads.c.length)
    .values(holder=_NEXT_HOLDER, asked=False, touched_at=NOW)
    .returning(*FIELDS)
)


def _append() -> Select[Any]:
    """Moves the offset and writes the bytes, unless there are none."""
    piece, offset = bindparam("piece", type_=LargeBinary), bindparam("offset", type_=BigInteger)
    moved = (
        _FITTING.where(uploads.c.holder.is_not_distinct_from(bindparam("holder", type_=Text)))
        .values(
            received=_AFTER,
            holder=case((uploads.c.length == _AFTER, uploads.c.id), else_=_NEXT_HOLDER),
            touched_at=NOW,
            expires_at=_from_now(OPEN_TTL),
        )
        .returning(*FIELDS)
        .cte("moved")
    )
    chunk = upload_chunks.insert().from_select(
        ["upload_id", "start", "data"],
        select(moved.c.id, offset, piece).where(offset < _AFTER),
    )
    return select(moved).add_cte(chunk.cte("chunk"))


def _ended(*conditions: ColumnElement[bool], **values: Any) -> Statement:
    """Ends an open upload and deletes its chunks; gives its id back."""
    ended = (
        update(uploads)
        .where(uploads.c.id == bindparam("upload"), uploads.c.state == "open", *conditions)
        .values(**values, holder=None, asked=False, touched_at=NOW, expires_at=_from_now(FINISHED_TTL))
        .returning(uploads.c.id)
        .cte("ended")
    )
    gone = delete(upload_chunks).where(upload_chunks.c.upload_id.in_(select(ended.c.id)))
    return Statement(select(ended.c.id).add_cte(gone.cte("gone")))


_GIVEN = {name: bindparam(name, type_=uploads.c[name].type) for name in ("id", *NewUpload.__dataclass_fields__)}
_MEMBER = (
    select(*_GIVEN.values(), literal("open"), _from_now(OPEN_TTL))
    .where(participants.c.thread_id == _GIVEN["thread_id"], participants.c.user_id == _GIVEN["user_id"])
    .with_for_update(read=True, key_share=True, of=participants)
)
_CREATE = Statement(
    uploads.insert().from_select([*_GIVEN, "state", "expires_at"], _MEMBER, include_defaults=False).returning(*FIELDS)
)
_MESSAGE = bindparam("message_id", type_=Text)
_FINISH = _ended(state="finished", message_id=_MESSAGE)
_COMPLETE = _ended(
    uploads.c.holder.is_(None),
    uploads.c.expires_at > func.clock_timestamp(),
    uploads.c.received == bindparam("offset", type_=BigInteger),
    state="finished",
    message_id=_MESSAGE,
    received=uploads.c.length,
)
_REFUSE = _ended(
    state="refused",
    error_code=bindparam("error_code", type_=Text),
    error_message=bindparam("error_message", type_=Text),
)
_APPEND = Statement(_append())
_CHUNKS = Statement(
    select(upload_chunks.c.start, upload_chunks.c.data)
    .where(upload_chunks.c.upload_id == bindparam("upload"), upload_chunks.c.start > bindparam("after"))
    .order_by(upload_chunks.c.start)
    .limit(_ROWS_AT_ONCE)
)
