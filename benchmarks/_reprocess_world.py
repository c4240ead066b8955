"""What the reprocess benchmark runs on: the servers of the embedded stack with its settings, and rows made by SQL."""

import os
import secrets
import signal
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.load import Samples
from ingest.settings import IngestSettings
from pipeline import reprocess_view, reprocess_walker
from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.embedded import broker, postgres, s3
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from pipeline.leases import LeaseKeeper
from pipeline.media import speech_artifact
from pipeline.rings import Ringer
from pipeline.settings import PipelineSettings, Settings
from storage import runs, threads
from storage.database import Database
from storage.jobs import Lane
from storage.migrate import migrate
from storage.objects import ObjectStore
from storage.runs import Filter, Plan, Survey
from tests import stack
from transcode import TranscodeSettings, make_speech
from transcribe import TranscribeSettings
from transcribe.clip import SAMPLE_RATE

_AT_ONCE = 50_000


@contextmanager
def running(model: str = "micro") -> Iterator[Context]:
    """A worker's context on servers of its own."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stops:
        context = _context(stops, Path(name), model)
        migrate(context.database)
        context.store.ensure_bucket()
        yield context
        context.close()


def fill(context: Context, count: int, speech_key: str = "speech", duration_ms: int = 4000) -> str:
    """So many transcribed messages in one thread, which is returned. All have the same speech audio."""
    with context.database.transaction() as connection:
        thread, _ = threads.create(connection, creator="speaker", members=["listener"])
    values = {"thread": thread, "key": speech_key, "ms": duration_ms}
    for first in range(1, count + 1, _AT_ONCE):
        with context.database.transaction() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            for statement in _ROWS:
                last = min(count, first + _AT_ONCE - 1)
                connection.execute(text(statement), values | {"first": first, "last": last})
    with context.database.reading() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
    return thread


def store_speech(context: Context, message_id: str, samples: Samples) -> str:
    """The key of the FLAC that the media worker would have made of these samples."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with wave.open(str(folder / "recording.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        made = make_speech(folder / "recording.wav", folder, context.settings.transcode)
        artifact = speech_artifact(context.settings.storage.s3_prefix, message_id, made)
        with made.open("rb") as body:
            context.store.put(artifact.key, body, size=artifact.size, content_type=artifact.content_type)
    return artifact.key


def begin(context: Context, total: int, **changes: Any) -> str:
    plan = replace(Plan("transcribe", Filter(), None, None, "if-not-worse", None, None), **changes)
    with context.database.transaction() as connection:
        return runs.create(connection, plan, Survey(total, 0, True), "benchmark")[0]


class moving:
    """The walker of a reaper, as often as a reaper ticks, in a thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._context.settings.pipeline.reaper_tick_s):
            reprocess_walker.walk(self._context)


def drain(context: Context, run_id: str, total: int) -> None:
    """What a worker does for as long as rings come."""
    worker = Drain(context, Lane.BATCH)
    while messages_done(context, run_id) < total:
        worker("speech")
        time.sleep(0.01)


def messages_done(context: Context, run_id: str) -> int:
    with context.database.reading() as connection:
        view = reprocess_view.read(connection, run_id)
    assert view is not None
    return view.done


def messages_queued(context: Context, run_id: str) -> int:
    with context.database.reading() as connection:
        return int(connection.execute(text("SELECT queued FROM runs WHERE id = :id"), {"id": run_id}).scalar_one())


def environment(context: Context, **changes: str) -> dict[str, str]:
    """For the product's own processes."""
    storage = context.settings.storage
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))},
        "EARSHOT_DATABASE_URL": storage.database_url,
        "EARSHOT_BROKER_URL": context.settings.pipeline.broker_url,
        "EARSHOT_S3_ENDPOINT_URL": storage.s3_endpoint_url or "",
        "EARSHOT_S3_BUCKET": storage.s3_bucket,
        "AWS_ACCESS_KEY_ID": storage.s3_access_key or "",
        "AWS_SECRET_ACCESS_KEY": storage.s3_secret_key.get_secret_value() if storage.s3_secret_key else "",
        "EARSHOT_MODEL": context.settings.transcribe.model,
        "EARSHOT_DEPLOYMENT": "local",
        "EARSHOT_JAIL": "weak",
        "EARSHOT_RATE_LIMITS": "off",
        "EARSHOT_PLAYBACK": "proxied",
        **changes,
    }


def _context(stops: ExitStack, folder: Path, model: str) -> Context:
    port, redis_port, s3_port = free_port(), free_port(), free_port()
    password, key, secret = secrets.token_hex(16), secrets.token_hex(8), secrets.token_hex(16)
    log = folder / "postgres.log"
    postgres.create_cluster(folder / "postgres", password, log, os.environ)
    started = [
        (postgres.start(folder / "postgres", port, log, os.environ), lambda: postgres.ready(port, password)),
        (
            broker.start(folder / "redis", redis_port, password, folder / "redis.log", os.environ),
            lambda: broker.ready(redis_port, password),
        ),
        (
            s3.start(folder / "s3", s3_port, key, secret, folder / "s3.log", os.environ),
            lambda: s3.ready(s3_port),
        ),
    ]
    for process, ready in started:
        stops.enter_context(_stopped(process, ready))
    storage = stack.storage_settings(
        stack.S3(s3.url(s3_port), key, secret), "benchmark", postgres.url(port, password, "earshot")
    )
    settings = Settings(
        storage=storage,
        ingest=IngestSettings(),
        transcode=TranscodeSettings(jail="weak"),
        transcribe=TranscribeSettings(model=model),
        pipeline=PipelineSettings(broker_url=broker.url(redis_port, password), deployment="local", drain_s=600),
    )
    database = Database(storage.database_url)
    return Context(
        settings=settings,
        database=database,
        store=ObjectStore(storage),
        ringer=Ringer(settings.pipeline.broker_url),
        leases=LeaseKeeper(database, settings.pipeline.lease_s),
    )


@contextmanager
def _stopped(process: Process, ready: Callable[[], bool]) -> Iterator[None]:
    try:
        stack.wait_until(ready, process)
        yield
    finally:
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=10)


_ID = "lpad(to_hex(n), 26, '0')"
_ROWS = (
    f"INSERT INTO messages (id, thread_id, seq, sender_id, kind) SELECT 'msg_' || {_ID}, :thread, n, 'speaker', 'voice'"
    " FROM generate_series(CAST(:first AS bigint), :last) AS n",
    "INSERT INTO transcripts (id, message_id, version, state, language, language_probability, confidence, text, model,"
    f" word_times) SELECT 'tra_' || {_ID}, 'msg_' || {_ID}, 1, 'completed', 'en', 0.9, 0.8,"
    " 'can we meet at three on thursday, and bring the maps ' || n, 'old', decode(repeat('00', 40), 'hex')"
    " FROM generate_series(CAST(:first AS bigint), :last) AS n",
    "INSERT INTO voices (message_id, state, original_key, original_size, original_sha256, container, duration_ms,"
    f" loudness_lufs, waveform, renditions, speech_key, transcript_id) SELECT 'msg_' || {_ID}, 'ready', 'original', 1,"
    " '', 'mp4', :ms, -20, decode(repeat('00', 100), 'hex'), '[]', :key,"
    f" 'tra_' || {_ID} FROM generate_series(CAST(:first AS bigint), :last) AS n",
)
