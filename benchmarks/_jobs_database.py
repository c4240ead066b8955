"""PostgreSQL as the embedded stack starts it, with every statement's own time in its log, and jobs to fill it with."""

import os
import re
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from pipeline.embedded import postgres
from pipeline.embedded.ports import free_port
from storage.database import Database
from storage.migrate import migrate
from tests import stack

# One line for each step of a statement: parse, bind, execute, or all of a simple one.
_DURATION = re.compile(r"^watched LOG:  duration: ([0-9.]+) ms +(.*)", re.MULTILINE)
_LOGGED = {"log_min_duration_statement": "0", "log_line_prefix": "%a ", "log_checkpoints": "off"}
_FILL = (
    """
    INSERT INTO messages (id, thread_id, seq, sender_id, kind)
    SELECT 'msg_' || lpad(n::text, 20, '0'), :thread, n, 'alice', 'voice' FROM generate_series(1, :count) AS n
    """,
    """
    INSERT INTO jobs (id, queue, lane, state, message_id)
    SELECT 'job_' || lpad(n::text, 20, '0'), 'media', 0, 'queued', 'msg_' || lpad(n::text, 20, '0')
    FROM generate_series(1, :count) AS n
    """,
)


class Server:
    def __init__(self, port: int, password: str, log: Path) -> None:
        self._port = port
        self._password = password
        self._log = log

    def database(self) -> Database:
        """A new one with all tables; what is done through it is watched."""
        name = f"bench_{secrets.token_hex(4)}"
        with postgres.connect(self._port, self._password) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        database = Database(postgres.url(self._port, self._password, name), application_name="watched")
        migrate(database)
        return database

    @contextmanager
    def watched(self) -> Iterator[list[tuple[float, str]]]:
        """Milliseconds and words of each statement that ran meanwhile, filled at the end."""
        before = self._log.stat().st_size
        seen: list[tuple[float, str]] = []
        yield seen
        with self._log.open() as log:
            log.seek(before)
            seen += [(float(spent), words) for spent, words in _DURATION.findall(log.read())]


@contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port, password, log = free_port(), secrets.token_hex(16), folder / "postgres.log"
        postgres.create_cluster(folder / "postgres", password, log, os.environ)
        process = postgres.start(folder / "postgres", port, log, os.environ, _LOGGED)
        try:
            stack.wait_until(lambda: postgres.ready(port, password), process)
            yield Server(port, password, log)
        finally:
            process.ask_to_stop(signal.SIGINT)
            process.end(patience_s=10)


def fill(database: Database, thread: str, count: int) -> None:
    with database.transaction() as connection:
        for statement in _FILL:
            values = {"thread": thread, "count": count}
            connection.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
