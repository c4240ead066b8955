"""NOTIFY: a connection of its own that hears it, and a thread of its own that tells of many commits at once."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url

from storage.database import Database
from storage.driver import Statement
from storage.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)
# What is told closer together than this is told once.
_SPACING_S = 0.05
_PATIENCE_S = 2.0


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


class Teller:
    """Wakes who listens on `channel` soon after each `tell`. One that is lost is made good by their looking on their
    own: each does, once a second."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._lock = threading.Lock()
        self._is_wanted = False
        self._closing = threading.Event()
        # While it has something to tell, and for a moment after.
        self._thread: threading.Thread | None = None

    def tell(self) -> None:
        """Of what is committed already. Never waits."""
        if self._is_wanted:
            return
        with self._lock:
            self._is_wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Returns when all is told, unless the database lets it wait."""
        self._closing.set()
        if thread := self._thread:
            thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while self._taken():
            try:
                with self._database.writing() as connection:
                    _NOTIFY.rows(connection, {"channel": self._channel})
            except (StorageUnavailable, StorageFull) as error:
                log.warning("who listens for events was not woken: %s", error)
            except Exception:
                log.exception("who listens for events can't be woken")
            self._closing.wait(_SPACING_S)

    def _taken(self) -> bool:
        with self._lock:
            wanted, self._is_wanted = self._is_wanted, False
            if not wanted:
                self._thread = None
            return wanted


_NOTIFY = Statement(text("SELECT pg_notify(:channel, '')"))
