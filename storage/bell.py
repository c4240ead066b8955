"""A connection of its own that hears NOTIFY."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import make_url

from storage.database import Database
from storage.errors import StorageUnavailable


@dataclass(frozen=True)
class Note:
    channel: str
    payload: str


class Bell:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def wait(self, timeout_s: float) -> list[Note]:
        """What was heard, as soon as anything was; nothing after `timeout_s`. Raises StorageUnavailable."""
        try:
            heard = list(self._connection.notifies(timeout=timeout_s, stop_after=1))
        except psycopg.Error as error:
            raise StorageUnavailable("the connection that listens was lost") from error
        return [Note(note.channel, note.payload) for note in heard]


@contextmanager
def listening(database: Database, channels: Sequence[str]) -> Iterator[Bell]:
    """Raises StorageUnavailable when the database can't be reached."""
    url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=3, keepalives_idle=10, keepalives_interval=3, keepalives_count=3
        )
        for channel in channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    except psycopg.Error as error:
        raise StorageUnavailable(f"the database does not answer ({type(error).__name__})") from error
    try:
        yield Bell(connection)
    finally:
        connection.close()


def tell(connection: Connection, channel: str, **content: str) -> None:
    """To whoever listens when this transaction commits; stored nowhere. At most 8,000 bytes of JSON."""
    connection.execute(select(func.pg_notify(channel, json.dumps(content, ensure_ascii=False))))
