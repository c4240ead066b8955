import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import select

from storage.database import Database
from storage.objects import ObjectStore
from storage.tables import voices
from tests import stack
from tests.tus_conformance import own
from tests.tus_conformance.target import Target


@pytest.fixture(scope="package")
def tus_database_url(fresh_database: Callable[[], str]) -> str:
    return fresh_database()


@pytest.fixture(scope="package")
def tus_database(tus_database_url: str) -> Iterator[Database]:
    database = Database(tus_database_url)
    yield database
    database.close()


@pytest.fixture(scope="package")
def apis(s3: stack.S3, tus_database_url: str) -> Iterator[list[own.Api]]:
    """Two processes on one database."""
    with own.running(s3, tus_database_url) as running:
        yield running


@pytest.fixture(scope="package")
def target(apis: list[own.Api], s3: stack.S3, tus_database: Database) -> Target:
    headers = {"Authorization": f"Bearer {own.token('alice')}"}
    body = json.dumps({"participants": []}).encode()
    request = Request(
        urljoin(apis[0].url, "/v1/threads"), body, {**headers, "Content-Type": "application/json"}, method="POST"
    )
    with urlopen(request) as answer:
        thread = json.load(answer)["id"]
    store = ObjectStore(stack.storage_settings(s3, apis[0].environment["EARSHOT_S3_BUCKET"]))

    def stored(message_id: str) -> bytes:
        with tus_database.transaction() as connection:
            query = select(voices.c.original_key).where(voices.c.message_id == message_id)
            key = connection.execute(query).scalar_one()
        with store.get(key) as stream:
            return stream.read()

    return Target(
        urljoin(apis[0].url, "/v1/uploads"),
        headers,
        {"thread_id": thread, "language": "en"},
        {"Authorization": f"Bearer {own.token('mallory')}"},
        own.IDLE_S,
        stored,
    )


@pytest.fixture(scope="package")
def neighbour(target: Target, apis: list[own.Api]) -> Target:
    """The same service through its other process."""
    return replace(target, endpoint=urljoin(apis[1].url, "/v1/uploads"))
