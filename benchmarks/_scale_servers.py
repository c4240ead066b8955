"""What the scale-out benchmark's workers work with: the embedded stack's servers, and messages to transcribe again."""

import hashlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from benchmarks._scale_hosts import Host
from benchmarks._sleeping_worker import SLEEP
from pipeline.context import Context, assemble
from pipeline.embedded import broker, postgres, s3
from pipeline.embedded.broker import LOOPBACK
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from storage import jobs, threads, transcripts
from storage.ids import new_id
from storage.jobs import Lane
from storage.keys import object_key
from storage.migrate import migrate
from tests.stack import wait_until
from transcode import TranscodeSettings, make_speech

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "pipeline" / "samples" / "late.ogg"
_LEASE_S = 5


@dataclass(frozen=True)
class Servers:
    """`context` is the benchmark's own, on loopback; `environment` is for workers, wherever they run."""

    context: Context
    environment: dict[str, str]
    folder: Path

    def worker(self, host: Host) -> Process:
        log = self.folder / f"worker-{secrets.token_hex(4)}.log"
        worker = [sys.executable, "-m", "benchmarks._sleeping_worker", "--queues", "speech", "--lane", "batch"]
        process = Process([*host.prefix, *worker], log=log, env=self.environment, cwd=ROOT)
        wait_until(lambda: " ready." in log.read_text(), process)
        return process

    def reaper(self) -> Process:
        argv = [sys.executable, "-m", "pipeline", "reaper"]
        return Process(argv, log=self.folder / "reaper.log", env=self.environment, cwd=ROOT)


@contextmanager
def running(address: str, sleep_s: float) -> Iterator[Servers]:
    """On loopback, and on `address` where that is another one."""
    addresses = tuple(dict.fromkeys((LOOPBACK, address)))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stops:
        folder = Path(name)
        given = {
            "EARSHOT_DATABASE_URL": stops.enter_context(_postgres(folder, addresses)),
            "EARSHOT_BROKER_URL": stops.enter_context(_redis(folder, addresses)),
            **stops.enter_context(_s3(folder, addresses)),
            "EARSHOT_MODEL": "micro",
            "EARSHOT_DEPLOYMENT": "local",
            "EARSHOT_LEASE_S": str(_LEASE_S),
            "EARSHOT_REAPER_TICK_S": "0.5",
            SLEEP: str(sleep_s),
        }
        os.environ.update(given)
        context = assemble()
        migrate(context.database)
        context.store.ensure_bucket()
        there = {name: value.replace(f"@{LOOPBACK}:", f"@{address}:") for name, value in given.items()}
        there["EARSHOT_S3_ENDPOINT_URL"] = given["EARSHOT_S3_ENDPOINT_URL"].replace(LOOPBACK, address)
        yield Servers(context, {**os.environ, **there}, folder)
        context.close()


def fill(context: Context, count: int) -> list[str]:
    """Messages that were transcribed once, all of the same few seconds of speech."""
    speech_key = _speech(context)
    with context.database.transaction() as connection:
        thread, _ = threads.create(connection, creator="alice", members=["bob"])
        rows = [
            {"id": new_id("msg"), "thread": thread, "seq": seq, "tra": new_id("tra"), "speech": speech_key}
            for seq in range(1, count + 1)
        ]
        for statement in _ROWS:
            connection.execute(text(statement), rows)
        connection.execute(text("UPDATE threads SET last_seq = :count"), {"count": count})
    return [str(row["id"]) for row in rows]


def transcribe_again(context: Context, ids: list[str]) -> dict[str, str]:
    """A further version of each and its job in the batch lane, as a re-run makes them; returns version by message."""
    with context.database.transaction() as connection:
        versions = {message: transcripts.add_version(connection, message, language=None) for message in ids}
        for message, version in versions.items():
            jobs.add(connection, "speech", message, transcript_id=version, lane=Lane.BATCH)
    context.ringer.ring("speech", Lane.BATCH)
    return versions


def _speech(context: Context) -> str:
    with tempfile.TemporaryDirectory() as name:
        body = make_speech(SAMPLE, Path(name), TranscodeSettings(jail="weak")).read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    key = object_key(context.settings.storage.s3_prefix, new_id("msg"), "speech", sha256, "flac")
    context.store.put(key, body, size=len(body), content_type="audio/flac", sha256=sha256)
    return key


@contextmanager
def _postgres(folder: Path, addresses: tuple[str, ...]) -> Iterator[str]:
    port, password, log = free_port(), secrets.token_hex(16), folder / "postgres.log"
    postgres.create_cluster(folder / "postgres", password, log, os.environ)
    with (folder / "postgres" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.64.0.0/16 scram-sha-256\n")
    process = postgres.start(
        folder / "postgres", port, log, os.environ, {"listen_addresses": ",".join(addresses), "max_connections": "200"}
    )
    with _stopped(process):
        wait_until(lambda: postgres.ready(port, password), process)
        yield postgres.url(port, password)


@contextmanager
def _redis(folder: Path, addresses: tuple[str, ...]) -> Iterator[str]:
    port, password = free_port(), secrets.token_hex(16)
    process = broker.start(folder / "redis", port, password, folder / "redis.log", os.environ, addresses)
    with _stopped(process):
        wait_until(lambda: broker.ready(port, password), process)
        yield broker.url(port, password)


@contextmanager
def _s3(folder: Path, addresses: tuple[str, ...]) -> Iterator[dict[str, str]]:
    port, key, secret = free_port(), secrets.token_hex(8), secrets.token_hex(16)
    process = s3.start(folder / "s3", port, key, secret, folder / "s3.log", os.environ, addresses)
    with _stopped(process):
        wait_until(lambda: s3.ready(port), process)
        yield {
            "EARSHOT_S3_ENDPOINT_URL": s3.url(port),
            "EARSHOT_S3_BUCKET": "benchmark",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }


@contextmanager
def _stopped(process: Process) -> Iterator[None]:
    try:
        yield
    finally:
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=10)


_ROWS = (
    "INSERT INTO messages (id, thread_id, seq, sender_id, kind) VALUES (:id, :thread, :seq, 'alice', 'voice')",
    "INSERT INTO transcripts (id, message_id, version, state, language, language_probability, text, model)"
    " VALUES (:tra, :id, 1, 'completed', 'en', 0.9, 'said before', 'old')",
    "INSERT INTO voices (message_id, state, original_key, original_size, original_sha256, container, duration_ms,"
    " speech_key, transcript_id) VALUES (:id, 'ready', 'key', 1, '', 'ogg', 4920, :speech, :tra)",
)
