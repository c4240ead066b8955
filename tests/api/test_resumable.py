"""Resumable uploads when what they need fails. That they keep to their protocol is proved in tests/tus_conformance."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from storage.tables import upload_chunks, uploads
from tests.api.conftest import Person, Server
from tests.tus_conformance.target import CHUNK, Target, recording

SIZE = 100_000


@pytest.fixture
def tus(server: Server, alice: Person, thread: str) -> Target:
    return Target(f"{server.url}/v1/uploads", {"Authorization": alice.headers["authorization"]}, {"thread_id": thread})


@pytest.fixture
def outage(server: Server) -> Iterator[pytest.MonkeyPatch]:
    """The object store is away until this is undone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.services.store, "_bucket", "a-bucket-that-is-not-there")
        yield patch


def test_an_outage_of_the_object_store_at_the_last_byte_keeps_all_bytes(
    tus: Target, alice: Person, thread: str, outage: pytest.MonkeyPatch
) -> None:
    url, body = tus.created(SIZE), recording(SIZE)
    assert tus.patch(url, 0, body).status == 503
    assert tus.head(url).status == 503
    outage.undo()
    found = tus.head(url)
    assert (found.status, found.offset) == (200, SIZE)
    assert [item["id"] for item in alice.get(f"/v1/threads/{thread}/messages").json()["items"]] == [found.message_id]


def test_a_creation_that_failed_is_found_again_by_its_key_and_gone_without_one(
    server: Server, tus: Target, alice: Person, thread: str, outage: pytest.MonkeyPatch
) -> None:
    body, key = recording(SIZE), {"Idempotency-Key": secrets.token_hex(8)}
    assert tus.create(SIZE, body, CHUNK).status == 503
    assert tus.create(SIZE, body, {**CHUNK, **key}).status == 503
    outage.undo()
    assert tus.create(SIZE, body, {**CHUNK, **key}).message_id
    assert len(alice.get(f"/v1/threads/{thread}/messages").json()["items"]) == 1
    with server.services.database.transaction() as connection:
        open_ones = select(uploads.c.id).where(uploads.c.user_id == alice.name, uploads.c.state == "open")
        assert connection.execute(open_ones).all() == []


def test_who_has_left_the_thread_meanwhile_is_told_so(tus: Target, alice: Person, bob: Person, thread: str) -> None:
    url = tus.created(SIZE)
    assert alice.delete(f"/v1/threads/{thread}/participants/{alice.name}").status_code == 204
    assert tus.patch(url, 0, recording(SIZE)).status == 404
    assert bob.get(f"/v1/threads/{thread}/messages").json()["items"] == []


def test_an_expired_upload_is_gone(server: Server, tus: Target) -> None:
    url = tus.created(SIZE)
    with server.services.database.transaction() as connection:
        mine = uploads.c.id == url.rsplit("/", 1)[-1]
        connection.execute(update(uploads).where(mine).values(expires_at=func.now() - timedelta(seconds=1)))
    assert tus.head(url).status == 410
    assert tus.patch(url, 0, recording(SIZE)).status == 410
    long_ago = f"{tus.endpoint}/upl_01hzy{'0' * 21}"
    assert tus.head(long_ago).status == 410


def test_a_finished_upload_leaves_no_chunks(server: Server, tus: Target) -> None:
    url = tus.created(SIZE)
    assert tus.patch(url, 0, recording(SIZE)).status == 204
    with server.services.database.transaction() as connection:
        mine = select(upload_chunks.c.start).where(upload_chunks.c.upload_id == url.rsplit("/", 1)[-1])
        assert connection.execute(mine).all() == []
