"""A worker's context on the real servers, and messages whose recordings really lie in the store."""

import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ingest.settings import IngestSettings
from pipeline.context import Context
from pipeline.embedded.process import Process
from pipeline.leases import LeaseKeeper
from pipeline.rings import Ringer
from pipeline.settings import PipelineSettings, Settings
from storage import arrivals, intents, messages, threads
from storage.database import Database
from storage.ids import new_id
from storage.jobs import Lane
from storage.keys import object_key
from storage.messages import Message, Original
from storage.objects import ObjectStore
from tests import stack
from transcode import TranscodeSettings, sniff
from transcribe import Engine, TranscribeSettings, load_engine

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "pipeline" / "samples"
Start = Callable[..., Process]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return load_engine(TranscribeSettings(model="micro"))


@pytest.fixture
def settings(s3: stack.S3, database_url: str, redis_url: str) -> Settings:
    return Settings(
        storage=stack.storage_settings(s3, f"test-{secrets.token_hex(6)}", database_url),
        ingest=IngestSettings(),
        transcode=TranscodeSettings(jail="weak"),
        transcribe=TranscribeSettings(model="micro"),
        pipeline=PipelineSettings(broker_url=redis_url, lease_s=3, deployment="local"),
    )


@pytest.fixture
def context(settings: Settings, engine: Engine) -> Iterator[Context]:
    database = Database(settings.storage.database_url)
    context = Context(
        settings=settings,
        database=database,
        store=ObjectStore(settings.storage),
        ringer=Ringer(settings.pipeline.broker_url),
        leases=LeaseKeeper(database, settings.pipeline.lease_s),
    )
    context.engine = engine
    context.store.ensure_bucket()
    yield context
    context.close()


@pytest.fixture
def thread(context: Context) -> str:
    with context.database.transaction() as connection:
        return threads.create(connection, creator="alice", members=["bob"])[0]


Upload = Callable[..., str]


@pytest.fixture
def upload(context: Context, thread: str) -> Upload:
    """Stores a recording as an accepted upload and returns its message's id."""

    def store(recording: bytes | str, *, lane: Lane = Lane.LIVE, language: str | None = None) -> str:
        body = (SAMPLES / recording).read_bytes() if isinstance(recording, str) else recording
        message_id = new_id("msg")
        container = sniff(body[:65536])
        sha256 = hashlib.sha256(body).hexdigest()
        key = object_key(context.settings.storage.s3_prefix, message_id, "original", sha256, "bin")
        original = Original(key, len(body), sha256, container.name if container else "unknown")
        with context.database.transaction() as connection:
            intents.declare(connection, message_id, [key], ttl_s=60)
        context.store.put(key, body, size=len(body), content_type="application/octet-stream")
        with context.database.transaction() as connection:
            arrivals.add_voice(
                connection, message_id, thread, "alice", original, language=language, external_id=None, lane=lane
            )
        return message_id

    return store


@pytest.fixture
def read(context: Context) -> Callable[[str], Message]:
    def get(message_id: str) -> Message:
        with context.database.transaction() as connection:
            found = messages.get(connection, message_id, "bob")
        assert found is not None
        return found

    return get


@pytest.fixture
def objects(context: Context) -> Callable[[str], set[str]]:
    """The kinds of objects that lie under a message's prefix."""

    def kinds(message_id: str) -> set[str]:
        prefix = f"{context.settings.storage.s3_prefix}/{message_id}/"
        return {found.key.split("/")[-2] for found in context.store.list(prefix)}

    return kinds


@pytest.fixture
def start(context: Context, tmp_path: Path) -> Iterator[Start]:
    """Starts `earshot` with these arguments on the context's servers."""
    storage, started = context.settings.storage, []
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))},
        "EARSHOT_DATABASE_URL": storage.database_url,
        "EARSHOT_BROKER_URL": context.settings.pipeline.broker_url,
        "EARSHOT_S3_ENDPOINT_URL": storage.s3_endpoint_url or "",
        "EARSHOT_S3_BUCKET": storage.s3_bucket,
        "AWS_ACCESS_KEY_ID": storage.s3_access_key or "",
        "AWS_SECRET_ACCESS_KEY": storage.s3_secret_key.get_secret_value() if storage.s3_secret_key else "",
        "EARSHOT_MODEL": "micro",
        "EARSHOT_DEPLOYMENT": "local",
        "EARSHOT_JAIL": "weak",
        "EARSHOT_LEASE_S": "3",
        "EARSHOT_REAPER_TICK_S": "0.5",
    }

    def run(*arguments: str, **settings: str) -> Process:
        log = tmp_path / f"{len(started)}.log"
        argv = [sys.executable, "-m", "pipeline", *arguments]
        started.append(Process(argv, log=log, env={**environment, **settings}, cwd=ROOT))
        return started[-1]

    yield run
    for process in started:
        if process.exit_status() is None:
            process.ask_to_stop()
    for process in started:
        process.end(patience_s=20)


def sql(context: Context, statement: str, **values: Any) -> list[Any]:
    with context.database.transaction() as connection:
        result = connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []
