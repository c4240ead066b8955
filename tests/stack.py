"""The real servers that tests run on: one PostgreSQL, one Redis and one S3 server for the whole test run."""

import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import psycopg
import pytest

from pipeline.embedded import Stack, StackInfo, broker, postgres, s3
from pipeline.embedded.failures import PartFailed
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from pipeline.embedded.sessions import Sessions
from storage.settings import StorageSettings

# Nothing that a test stores must survive a power cut.
HASTY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"}


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str

    def url(self, database: str) -> str:
        return postgres.url(self.port, self.password, database)

    def create_database(self, template: str = "template0") -> str:
        """The name of a new database."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode())
        return name

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def connect(self) -> psycopg.Connection:
        return postgres.connect(self.port, self.password)


@dataclass(frozen=True)
class S3:
    endpoint_url: str
    access_key: str
    secret_key: str


def storage_settings(s3: S3, bucket: str, database_url: str = "postgresql+psycopg://unused") -> StorageSettings:
    return StorageSettings.model_validate(
        {
            "database_url": database_url,
            "s3_endpoint_url": s3.endpoint_url,
            "s3_bucket": bucket,
            "s3_access_key": s3.access_key,
            "s3_secret_key": s3.secret_key,
        }
    )


@contextmanager
def running_product(folder: Path, **settings: str) -> Iterator[StackInfo]:
    """The whole embedded stack on the bundled model, whatever the developer's environment says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
    with ExitStack() as stopped:
        with _or_skip("the embedded stack"):
            product = stopped.enter_context(Stack(folder, port=0, model="micro", environment={**clean, **settings}))
        yield product.info


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    server = Postgres(free_port(), secrets.token_hex(16))
    log = folder / "postgres.log"
    with _or_skip("PostgreSQL"):
        postgres.create_cluster(folder / "postgres", server.password, log, os.environ, sync=False)
        process = postgres.start(folder / "postgres", server.port, log, os.environ, HASTY)
    with _stopped_after(process, lambda: postgres.ready(server.port, server.password)):
        yield server
    shutil.rmtree(folder / "postgres", ignore_errors=True)


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    port, password = free_port(), secrets.token_hex(16)
    with _or_skip("Redis"):
        process = broker.start(folder / "redis", port, password, folder / "redis.log", os.environ)
    with _stopped_after(process, lambda: broker.ready(port, password)):
        yield broker.url(port, password)


class RabbitMQ:
    """Debian's RabbitMQ as the current user, with nothing in its usual folders and its own port mapper."""

    BINARIES = Path("/usr/lib/rabbitmq/bin")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._environment = self._settings(folder / "rabbitmq")
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def __enter__(self) -> Self:
        (self._folder / "rabbitmq").mkdir()
        log = self._folder / "epmd.log"
        # The server is a grandchild: it would outlive us when we are killed.
        self._sessions = Sessions()
        self._mapper = Process([shutil.which("epmd") or "epmd"], log=log, env=self._environment)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.ask_to_stop(signal.SIGINT)
        self._server.end(patience_s=15)
        self._mapper.end(patience_s=0)
        self._sessions.close()

    def restart(self) -> None:
        """As after a crash."""
        self._server.end(patience_s=0)
        self._sessions.remove(self._server.pid)
        self._start()

    def _start(self) -> None:
        program, log = str(self.BINARIES / "rabbitmq-server"), self._folder / "rabbitmq.log"
        self._server = Process([program], log=log, env=self._environment)
        self._sessions.add(self._server.pid)
        wait_until(lambda: _speaks_amqp(self._port), self._server)

    def _settings(self, home: Path) -> dict[str, str]:
        return {
            "PATH": f"{self.BINARIES}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none.conf"),
        }


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    if not (RabbitMQ.BINARIES / "rabbitmq-server").exists() or not shutil.which("epmd"):
        missing("RabbitMQ: rabbitmq-server is not installed")
    with RabbitMQ(folder) as server:
        yield server


def _speaks_amqp(port: int) -> bool:
    """The port opens before the server is ready to answer a protocol header."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


@contextmanager
def running_s3(folder: Path) -> Iterator[S3]:
    port = free_port()
    server = S3(s3.url(port), secrets.token_hex(8), secrets.token_hex(16))
    with _or_skip("rclone"):
        process = s3.start(folder / "s3", port, server.access_key, server.secret_key, folder / "s3.log", os.environ)
    with _stopped_after(process, lambda: s3.ready(port)):
        yield server
    shutil.rmtree(folder / "s3", ignore_errors=True)


@contextmanager
def _or_skip(name: str) -> Iterator[None]:
    """A developer without a server's wheel skips its tests; CI fails."""
    try:
        yield
    except PartFailed as error:
        missing(f"{name}: {error}")


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _stopped_after(process: Process, ready: Callable[[], bool]) -> Iterator[None]:
    try:
        wait_until(ready, process)
        yield
    finally:
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=5)


def wait_until(condition: Callable[[], bool], process: Process | None = None, timeout_s: float = 60) -> None:
    """Fails the test when the condition stays false or the process ends."""
    until = time.monotonic() + timeout_s
    while not condition():
        if process and process.exit_status() is not None:
            pytest.fail(f"the server ended: {process.last_words()}")
        if time.monotonic() > until:
            pytest.fail(f"not true within {timeout_s:g} s: {condition}")
        time.sleep(0.02)
