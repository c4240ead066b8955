"""Resumable uploads when what they need fails. That they keep to their protocol is proved in tests/tus_conformance."""

import json
import secrets
import socket
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, update

from storage import uploads as stored
from storage.objects import ObjectStore
from storage.tables import upload_chunks, uploads
from tests.api.conftest import Person, Server
from tests.stack import wait_until
from tests.tus_conformance.target import CHUNK, Target, answer_on, recording

SIZE = 100_000
# More than is kept in memory.
LARGE = 900_000


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


def test_what_was_refused_stays_refused_with_its_last_byte(tus: Target) -> None:
    body = b"not audio " * 20_000
    url = tus.created(len(body))
    assert tus.patch(url, 0, body[:70_000]).status == 415
    assert tus.patch(url, 70_000, body[70_000:]).status == 415
    assert tus.head(url).status == 415


@pytest.mark.parametrize("other", ["appends", "terminates"])
def test_a_last_piece_that_another_process_was_quicker_with_makes_no_second_message(
    server: Server, tus: Target, alice: Person, thread: str, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """The last piece goes straight into the message, in no row: what happens to the upload meanwhile decides."""
    url, body, put = tus.created(SIZE), recording(SIZE), ObjectStore.put
    upload_id, rest = url.rsplit("/", 1)[-1], body[60_000:]
    assert tus.patch(url, 0, body[:60_000]).status == 204

    def interfere(store: ObjectStore, *arguments: Any, **details: Any) -> None:
        monkeypatch.undo()
        with server.services.database.transaction() as connection:
            if other == "appends":
                stored.append(upload_id, alice.name, 60_000, rest, holder=None, keep=False).on(connection)
            else:
                stored.terminate(connection, upload_id)
        put(store, *arguments, **details)

    monkeypatch.setattr(ObjectStore, "put", interfere)
    assert tus.patch(url, 60_000, rest).status == (409 if other == "appends" else 404)
    found = tus.head(url)
    items = alice.get(f"/v1/threads/{thread}/messages").json()["items"]
    if other == "appends":
        assert (found.status, found.offset) == (200, SIZE)
        assert [item["id"] for item in items] == [found.message_id]
    else:
        assert (found.status, items) == (404, [])


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


def test_a_creation_whose_client_went_away_leaves_nothing_that_nobody_can_find(
    server: Server, tus: Target, alice: Person
) -> None:
    head = {**tus.headers, **CHUNK, "Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}
    head["Upload-Metadata"] = tus.encoded_metadata()
    lines = ["POST /v1/uploads HTTP/1.1", "Host: x", f"Content-Length: {SIZE}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 80)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + recording(SIZE)[:5_000])
        wait_until(lambda: _open_uploads(server, alice) == 1)
    wait_until(lambda: _open_uploads(server, alice) == 0)


def _open_uploads(server: Server, person: Person) -> int:
    with server.services.database.transaction() as connection:
        mine = (uploads.c.user_id == person.name, uploads.c.state == "open")
        return connection.execute(select(func.count()).select_from(uploads).where(*mine)).scalar_one()


def test_uploads_are_not_put_together(tus: Target) -> None:
    answer = tus.create(SIZE, b"", {"Upload-Concat": "partial"})
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")


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


def test_what_an_upload_said_of_its_file_goes_with_its_message(tus: Target, alice: Person) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    one, other = (tus.create(SIZE, recording(SIZE), {**CHUNK, **more}) for more in (key, {}))
    assert tus.create(SIZE, recording(SIZE), {**CHUNK, **key}).message_id == one.message_id
    assert alice.delete(f"/v1/messages/{one.message_id}").status_code == 204
    gone, kept = tus.head(tus.located(one)), tus.head(tus.located(other))
    assert (gone.status, gone.message_id, gone.offset) == (200, one.message_id, SIZE)
    assert "upload-metadata" not in gone.headers
    assert tus.create(SIZE, recording(SIZE), {**CHUNK, **key}).status == 404
    assert kept.headers["upload-metadata"] == tus.encoded_metadata()


@pytest.fixture
def full_disk() -> Iterator[pytest.MonkeyPatch]:
    """No room for bodies that don't fit into memory: every write to this device fails as on a full disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "wb", buffering=0))  # noqa: SIM115
        yield patch


def test_a_full_disk_within_a_checked_patch_adds_nothing_and_is_no_end(
    tus: Target, full_disk: pytest.MonkeyPatch
) -> None:
    body = recording(LARGE)
    url, checked = tus.created(LARGE), {"Upload-Checksum": "sha1 " + b64encode(sha1(body).digest()).decode()}
    refused = tus.patch(url, 0, body, checked)
    assert (refused.status, "retry-after" in refused.headers) == (507, True)
    assert tus.offset(url) == 0
    full_disk.undo()
    assert tus.patch(url, 0, body, checked).message_id


def test_a_full_disk_at_the_last_byte_keeps_all_bytes(
    tus: Target, alice: Person, thread: str, full_disk: pytest.MonkeyPatch
) -> None:
    # As when another process had taken the bytes: they have to be read again.
    full_disk.setattr("ingest.recent._MOST_UPLOADS", 0)
    url, body = tus.created(LARGE), recording(LARGE)
    assert tus.patch(url, 0, body).status == 507
    assert tus.head(url).status == 507
    full_disk.undo()
    found = tus.head(url)
    assert (found.status, found.offset) == (200, LARGE)
    assert [item["id"] for item in alice.get(f"/v1/threads/{thread}/messages").json()["items"]] == [found.message_id]


@pytest.mark.parametrize("checked", [True, False])
def test_a_body_that_falls_silent_lets_go_of_its_upload(server: Server, tus: Target, checked: bool) -> None:
    """Bytes that were to be checked do not count before they are."""
    url, body = tus.created(LARGE), recording(LARGE)
    digest = {"Upload-Checksum": "sha1 " + b64encode(sha1(body).digest()).decode()} if checked else {}
    headers = {**CHUNK, **digest, "Upload-Offset": "0", "Content-Length": str(LARGE)}
    with tus.begun("PATCH", url, headers, body[:300_000]) as silent:
        assert answer_on(silent).status == 408
    with server.services.database.transaction() as connection:
        mine = select(uploads.c.holder, uploads.c.received).where(uploads.c.id == url.rsplit("/", 1)[-1])
        assert tuple(connection.execute(mine).one()) == (None, 0 if checked else 300_000)


def test_a_finished_upload_leaves_no_chunks(server: Server, tus: Target) -> None:
    url = tus.created(SIZE)
    assert tus.patch(url, 0, recording(SIZE)).status == 204
    with server.services.database.transaction() as connection:
        mine = select(upload_chunks.c.start).where(upload_chunks.c.upload_id == url.rsplit("/", 1)[-1])
        assert connection.execute(mine).all() == []
