"""What the upload benchmark runs on: the embedded stack's servers, the API as it starts by itself, nobody who
transcodes."""

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil

from pipeline.embedded import postgres
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from storage.database import Database
from storage.migrate import migrate
from storage.objects import ObjectStore
from tests import stack
from tests.tus_conformance import own

# As many as `earshot api` starts without being told.
PROCESSES = 1


@dataclass(frozen=True)
class Servers:
    api: own.Api
    s3: stack.S3
    bucket: str
    processes: int
    relay_url: str

    def api_bytes(self) -> int:
        """Resident memory of all API processes."""
        assert self.api.process is not None
        parent = psutil.Process(self.api.process.pid)
        return sum(int(each.memory_info().rss) for each in (parent, *parent.children(recursive=True)))

    def store(self) -> ObjectStore:
        return ObjectStore(stack.storage_settings(self.s3, self.bucket))


@contextmanager
def running() -> Iterator[Servers]:
    with ExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
        url = servers.enter_context(_database(folder))
        more = {"EARSHOT_BROKER_URL": servers.enter_context(stack.running_redis(folder)), "EARSHOT_UPLOAD_IDLE_S": "30"}
        s3 = servers.enter_context(stack.running_s3(folder))
        (api,) = servers.enter_context(own.running(s3, url, count=1, workers=PROCESSES, **more))
        relay_url = servers.enter_context(_relay(folder, {**os.environ, **api.environment}, PROCESSES))
        yield Servers(api, s3, api.environment["EARSHOT_S3_BUCKET"], PROCESSES, relay_url)


@contextmanager
def _relay(folder: Path, environment: dict[str, str], processes: int) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks._bare_upload", str(port), str(processes)]
    process, url = Process(command, log=folder / "relay.log", env=environment), f"http://127.0.0.1:{port}"
    try:
        stack.wait_until(lambda: _answers(url + "/readyz"), process)
        yield url
    finally:
        process.ask_to_stop(signal.SIGTERM)
        process.end(patience_s=10)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    port, password, log = free_port(), secrets.token_hex(16), folder / "postgres.log"
    postgres.create_cluster(folder / "postgres", password, log, os.environ)
    process = postgres.start(folder / "postgres", port, log, os.environ)
    try:
        stack.wait_until(lambda: postgres.ready(port, password), process)
        url = postgres.url(port, password)
        database = Database(url)
        migrate(database)
        database.close()
        yield url
    finally:
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=10)
