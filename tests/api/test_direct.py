"""Uploads that go straight to S3, and everything a client can do wrong there."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from storage.tables import uploads, voices
from tests import stack
from tests.api.conftest import Person, Server, app_on, code_of, serving


@pytest.fixture(scope="module")
def open_server(s3: stack.S3, fresh_database: Callable[[], str]) -> Iterator[Server]:
    """An API whose clients reach S3 themselves."""
    with serving(lambda url, rings: app_on(s3, fresh_database(), url, rings, playback="presigned")) as running:
        yield running


@pytest.fixture
def carol(open_server: Server) -> Iterator[Person]:
    with open_server.person("carol") as person:
        yield person


@pytest.fixture
def hers(carol: Person) -> str:
    return str(carol.post("/v1/threads", json={"participants": []}).json()["id"])


def test_a_direct_upload_becomes_a_message_of_the_copy(
    open_server: Server, carol: Person, hers: str, recording: bytes
) -> None:
    granted = _begin(carol, hers, recording, sha256=hashlib.sha256(recording).hexdigest())
    assert granted["method"] == "PUT"
    assert _put(granted, recording).status_code == 200
    message = _complete(carol, granted)
    assert message.status_code == 201
    assert message.json()["voice"]["state"] == "received"
    assert message.headers["location"] == f"/v1/messages/{message.json()['id']}"
    assert _stored(open_server, message.json()["id"]) == recording
    assert list(open_server.services.store.list("messages-uploads/")) == []
    assert open_server.rings[-1] == "media"


def test_completing_again_gives_the_same_message(carol: Person, hers: str, recording: bytes) -> None:
    granted = _begin(carol, hers, recording)
    _put(granted, recording)
    first, second = _complete(carol, granted), _complete(carol, granted)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len(carol.get(f"/v1/threads/{hers}/messages").json()["items"]) == 1
    carol.delete(f"/v1/messages/{first.json()['id']}")
    assert _complete(carol, granted).status_code == 404


def test_completing_at_the_same_time_gives_one_message(carol: Person, hers: str, recording: bytes) -> None:
    for _ in range(4):
        granted = _begin(carol, hers, recording)
        _put(granted, recording)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda granted: _complete(carol, granted), [granted] * 6))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(carol.get(f"/v1/threads/{hers}/messages").json()["items"]) == 4


@pytest.mark.parametrize("step", ["get", "copy"])
def test_completing_what_another_call_has_just_cleared_away_gives_its_message(
    open_server: Server, carol: Person, hers: str, recording: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store, granted = open_server.services.store, _begin(carol, hers, recording)
    _put(granted, recording)
    quicker: list[httpx.Response] = []
    real = getattr(store, step)

    def overtaken(*arguments: Any, **details: Any) -> Any:
        patch.undo()
        quicker.append(_complete(carol, granted))
        return real(*arguments, **details)

    with monkeypatch.context() as patch:
        patch.setattr(store, step, overtaken)
        slower = _complete(carol, granted)
    assert [quicker[0].status_code, slower.status_code] == [201, 201]
    assert quicker[0].json()["id"] == slower.json()["id"]


def test_what_is_put_after_completion_changes_nothing(
    open_server: Server, carol: Person, hers: str, recording: bytes
) -> None:
    granted = _begin(carol, hers, recording)
    _put(granted, recording)
    message = _complete(carol, granted).json()["id"]
    assert _put(granted, b"\0" * len(recording)).status_code == 200
    assert _complete(carol, granted).json()["id"] == message
    assert _stored(open_server, message) == recording


def test_what_changes_while_it_is_copied_is_refused(
    open_server: Server, carol: Person, hers: str, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, granted = open_server.services.store, _begin(carol, hers, recording)
    other = recording[:-1] + b"\0"
    _put(granted, recording)
    copy = store.copy

    def changed_just_before(source: str, key: str, *, content_type: str) -> None:
        _put(granted, other)
        copy(source, key, content_type=content_type)

    with monkeypatch.context() as patch:
        patch.setattr(store, "copy", changed_just_before)
        refused = _complete(carol, granted)
    assert (refused.status_code, code_of(refused)) == (460, "checksum_mismatch")
    message = _complete(carol, granted)
    assert _stored(open_server, message.json()["id"]) == other


@pytest.mark.parametrize("declared", [True, False])
def test_what_was_put_is_checked(carol: Person, hers: str, recording: bytes, declared: bool) -> None:
    text = (b"this is no sound " * len(recording))[: len(recording)]
    granted = _begin(carol, hers, recording, **({"sha256": hashlib.sha256(text).hexdigest()} if declared else {}))
    nothing = _complete(carol, granted)
    assert (nothing.status_code, code_of(nothing)) == (422, "invalid_request")
    _put(granted, text)
    no_recording = _complete(carol, granted)
    assert (no_recording.status_code, code_of(no_recording)) == (415, "unsupported_format")
    if not declared:
        _put(granted, recording)
        assert _complete(carol, granted).status_code == 201


def test_another_digest_than_was_announced_is_refused(
    open_server: Server, carol: Person, hers: str, recording: bytes
) -> None:
    granted = _begin(carol, hers, recording, sha256=hashlib.sha256(b"other").hexdigest())
    key = f"messages-uploads/{granted['upload_id']}"
    open_server.services.store.put(key, recording, size=len(recording), content_type="audio/mp4")
    refused = _complete(carol, granted)
    assert (refused.status_code, code_of(refused)) == (460, "checksum_mismatch")


def test_another_size_than_was_announced_is_refused(
    open_server: Server, carol: Person, hers: str, recording: bytes
) -> None:
    granted = _begin(carol, hers, recording)
    key = f"messages-uploads/{granted['upload_id']}"
    open_server.services.store.put(key, recording + b"\0", size=len(recording) + 1, content_type="audio/mp4")
    refused = _complete(carol, granted)
    assert (refused.status_code, code_of(refused)) == (422, "invalid_request")


def test_a_beginning_that_is_repeated_with_its_key_is_the_same_upload(
    carol: Person, hers: str, recording: bytes
) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"size": len(recording), "content_type": "audio/mp4"}
    first, second = (carol.post(_path(hers), json=body, headers=key) for _ in range(2))
    assert first.json()["upload_id"] == second.json()["upload_id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert carol.post(_path(hers), json={**body, "size": 5}, headers=key).status_code == 422


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": 0}, "no_audio"),
        ({"size": 10**9}, "too_large"),
        ({"size": -1}, "invalid_request"),
        ({"content_type": "audio"}, "invalid_request"),
        ({"content_type": "audio/mp4\r\nX: y"}, "invalid_request"),
        ({"sha256": "abc"}, "invalid_request"),
    ],
)
def test_impossible_announcements_are_refused(carol: Person, hers: str, change: dict[str, Any], code: str) -> None:
    answer = carol.post(_path(hers), json={"size": 1000, "content_type": "audio/mp4", **change})
    assert code_of(answer) == code


def test_other_peoples_threads_and_uploads_are_not_found(
    open_server: Server, carol: Person, hers: str, recording: bytes
) -> None:
    granted = _begin(carol, hers, recording)
    _put(granted, recording)
    with open_server.person("mallory") as mallory:
        assert mallory.post(_path(hers), json={"size": 5, "content_type": "audio/mp4"}).status_code == 404
        assert _complete(mallory, granted).status_code == 404
    assert carol.post("/v1/uploads/nonsense/complete").status_code == 404
    assert _complete(carol, granted).status_code == 201


def test_an_expired_upload_says_so(open_server: Server, carol: Person, hers: str, recording: bytes) -> None:
    granted = _begin(carol, hers, recording)
    with open_server.services.database.transaction() as connection:
        mine = uploads.c.id == granted["upload_id"]
        connection.execute(update(uploads).where(mine).values(expires_at="2020-01-01T00:00:00Z"))
    answer = _complete(carol, granted)
    assert (answer.status_code, code_of(answer)) == (410, "upload_expired")


def test_where_clients_do_not_reach_the_store_direct_uploads_are_unavailable(alice: Person, thread: str) -> None:
    answer = alice.post(_path(thread), json={"size": 1000, "content_type": "audio/mp4"})
    assert (answer.status_code, code_of(answer)) == (409, "direct_unavailable")


def _path(thread: str) -> str:
    return f"/v1/threads/{thread}/voice-messages/direct"


def _begin(person: Person, thread: str, recording: bytes, **more: str) -> dict[str, Any]:
    answer = person.post(_path(thread), json={"size": len(recording), "content_type": "audio/mp4", **more})
    assert answer.status_code == 201, answer.text
    granted: dict[str, Any] = answer.json()
    return granted


def _put(granted: dict[str, Any], body: bytes) -> httpx.Response:
    return httpx.put(granted["url"], content=body, headers=granted["headers"])


def _complete(person: Person, granted: dict[str, Any]) -> httpx.Response:
    return person.post(f"/v1/uploads/{granted['upload_id']}/complete")


def _stored(server: Server, message: str) -> bytes:
    with server.services.database.transaction() as connection:
        key = connection.execute(select(voices.c.original_key).where(voices.c.message_id == message)).scalar_one()
    with server.services.store.get(key) as stream:
        return stream.read()
