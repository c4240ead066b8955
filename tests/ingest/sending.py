"""Sending short recordings as one process would, and what is there afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from ingest.executor import Executor
from ingest.original import Upload
from ingest.quota import Quota
from ingest.settings import IngestSettings
from ingest.short import ShortIntake
from ingest.spool import Spool
from ingest.voice import Accepted, Intake
from storage import intents, tables, usage
from storage.database import Database
from storage.objects import ObjectStore

RECORDING = (Path(__file__).parent.parent.parent / "pipeline" / "samples" / "call.3gp").read_bytes()
Accept = Callable[..., Accepted]
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@asynccontextmanager
async def process(database_url: str, object_store: ObjectStore, **limits: Any) -> AsyncIterator[ShortIntake]:
    quota, mine, executor = Quota(IngestSettings.model_validate(limits)), Database(database_url), Executor(2)
    with closing(mine), closing(executor), closing(Intake(mine, object_store, "messages", quota)) as intake:
        short = ShortIntake(mine, object_store, intake, quota, executor)
        try:
            yield short
        finally:
            await short.close()
            object_store.close()
            await asyncio.sleep(0)


async def sent(short: ShortIntake, upload: Upload, recording: bytes = RECORDING) -> Accepted:
    with Spool() as spool:
        await spool.write(recording)
        return await short.accept(upload, spool)


def again(upload: Upload) -> Upload:
    """Another request with the same key."""
    assert upload.claim is not None
    return replace(upload, claim=replace(upload.claim, owner="another"))


def count(database: Database, table: Any) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(table)).all())


def waiting(database: Database) -> int:
    """Statements, for a lock."""
    with database.reading() as connection:
        return int(connection.execute(text(_WAITING)).scalar_one())


def used(database: Database) -> usage.Usage:
    with database.reading() as connection:
        return usage.current(connection, "alice")


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """What happens between the object's PUT and its message."""
    put = ObjectStore.put_soon

    async def put_and_change(store: ObjectStore, key: str, *arguments: Any, **details: Any) -> bool:
        done = await put(store, key, *arguments, **details)
        await asyncio.to_thread(change)
        return done

    monkeypatch.setattr(ObjectStore, "put_soon", put_and_change)


def all_given_up(database: Database) -> bool:
    """The next sweep deletes what was put, and knows by whom it was."""
    with database.transaction() as connection:
        senders = connection.execute(select(tables.intents.c.sender_id)).scalars().all()
        return 0 < len(senders) == intents.doom(connection) and None not in senders
