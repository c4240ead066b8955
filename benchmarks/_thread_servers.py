"""What the thread benchmark runs on: PostgreSQL as the embedded stack starts it, two APIs, and the bare endpoint."""

import http.client
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.embedded import postgres
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from storage.database import Database
from storage.migrate import migrate
from tests import stack

SECRET = "the secret of a benchmark, long enough for HS256"


@dataclass(frozen=True)
class Servers:
    """Ports on loopback."""

    database: Database
    proxied: int
    presigned: int
    bare: int


@contextmanager
def running() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stops:
        folder = Path(name)
        url = stops.enter_context(_postgres(folder))
        database = Database(url)
        migrate(database)
        environment = {
            **os.environ,
            "EARSHOT_DATABASE_URL": url,
            "EARSHOT_JWT_SECRET": SECRET,
            "EARSHOT_S3_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "asks",
        }
        api = ["-m", "pipeline", "api", "--port"]
        yield Servers(
            database,
            stops.enter_context(_served(folder, api, {**environment, "EARSHOT_PLAYBACK": "proxied"})),
            stops.enter_context(_served(folder, api, {**environment, "EARSHOT_PLAYBACK": "presigned"})),
            stops.enter_context(_served(folder, ["-m", "benchmarks._bare_thread"], environment)),
        )
        database.close()


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    port, password, log = free_port(), secrets.token_hex(16), folder / "postgres.log"
    postgres.create_cluster(folder / "postgres", password, log, os.environ)
    process = postgres.start(folder / "postgres", port, log, os.environ)
    try:
        stack.wait_until(lambda: postgres.ready(port, password), process)
        yield postgres.url(port, password)
    finally:
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=10)


@contextmanager
def _served(folder: Path, arguments: list[str], environment: dict[str, str]) -> Iterator[int]:
    port = free_port()
    process = Process([sys.executable, *arguments, str(port)], log=folder / f"{port}.log", env=environment)
    try:
        stack.wait_until(lambda: _answers(port), process)
        yield port
    finally:
        process.ask_to_stop(signal.SIGTERM)
        process.end(patience_s=10)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
