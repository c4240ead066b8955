import asyncio
from typing import Any

import pytest

from ingest.original import Upload
from ingest.voice import Accepted
from storage import threads
from storage.database import Database
from storage.objects import ObjectStore
from tests.ingest.sending import RECORDING, Accept, process, sent


@pytest.fixture
def upload(database: Database) -> Upload:
    with database.transaction() as connection:
        thread, _ = threads.create(connection, creator="alice", members=["bob"])
    return Upload(thread, "alice", "en", "ours")


@pytest.fixture
def accept(database_url: str, database: Database, object_store: ObjectStore) -> Accept:
    """As one process would, with its own connections."""

    def accept(upload: Upload, recording: bytes = RECORDING, **limits: Any) -> Accepted:
        async def taken() -> Accepted:
            async with process(database_url, object_store, **limits) as short:
                return await sent(short, upload, recording)

        return asyncio.run(taken())

    return accept
