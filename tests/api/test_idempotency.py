import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person, code_of


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(12)}


@pytest.mark.parametrize("call", ["thread", "text", "voice", "transcript"])
def test_a_repeated_request_gives_the_first_ones_result(
    alice: Person, thread: str, played: str, recording: bytes, call: str
) -> None:
    path, body, other = _call(call, thread, played, recording)
    key = keyed()
    first = alice.post(path, headers=key, **body)
    assert first.status_code == (202 if call == "transcript" else 201)
    assert "idempotency-replayed" not in first.headers
    again = alice.post(path, headers=key, **body)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers.get("location") == first.headers.get("location")
    mismatch = alice.post(path, headers=key, **other)
    assert (mismatch.status_code, code_of(mismatch)) == (422, "idempotency_mismatch")


def test_a_replay_shows_what_the_message_is_now(
    alice: Person, thread: str, played: str, recording: bytes, workers: Any
) -> None:
    key, path = keyed(), f"/v1/threads/{thread}/voice-messages"
    first = alice.post(path, content=recording, headers=key).json()
    workers.finish(first["id"])
    again = alice.post(path, content=recording, headers=key).json()
    assert (again["id"], again["voice"]["state"]) == (first["id"], "ready")
    alice.delete(f"/v1/messages/{first['id']}")
    gone = alice.post(path, content=recording, headers=key)
    assert (gone.status_code, code_of(gone)) == (404, "not_found")
    assert [item["id"] for item in alice.get(f"/v1/threads/{thread}/messages").json()["items"]] == [played]


def test_keys_are_the_callers_own_and_hold_for_one_path(alice: Person, bob: Person, thread: str) -> None:
    key, path = keyed(), f"/v1/threads/{thread}/messages"
    said = [person.post(path, json={"text": "hi"}, headers=key).json()["id"] for person in (alice, bob)]
    assert said[0] != said[1]
    assert alice.post("/v1/threads", json={"participants": []}, headers=key).status_code == 201


def test_a_refused_request_may_be_tried_again_with_its_key(alice: Person, thread: str, recording: bytes) -> None:
    key, path = keyed(), f"/v1/threads/{thread}/voice-messages"
    assert code_of(alice.post(path, content=b"no recording", headers=key)) == "unsupported_format"
    assert code_of(alice.post(path, content=b"", headers=key)) == "no_audio"
    assert alice.post(path, content=recording, headers=key).status_code == 201


def test_other_parameters_are_another_request(alice: Person, thread: str, recording: bytes) -> None:
    key, path = keyed(), f"/v1/threads/{thread}/voice-messages"
    assert alice.post(path, content=recording, headers=key).status_code == 201
    answer = alice.post(path, params={"language": "de"}, content=recording, headers=key)
    assert code_of(answer) == "idempotency_mismatch"


@pytest.mark.parametrize("call", ["text", "voice"])
def test_requests_at_the_same_time_make_one_message(alice: Person, thread: str, recording: bytes, call: str) -> None:
    path, body, _ = _call(call, thread, "", recording)
    key = keyed()

    def post(_: int) -> httpx.Response:
        return alice.post(path, headers=key, **body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert [item["id"] for item in alice.get(f"/v1/threads/{thread}/messages").json()["items"]] == list(ids)


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"a\tb", b"\xff", "schlüssel".encode()])
def test_a_key_that_can_not_be_kept_is_refused(alice: Person, thread: str, recording: bytes, key: bytes) -> None:
    for path, body in (("messages", {"json": {"text": "hi"}}), ("voice-messages", {"content": recording})):
        headers = [(b"Idempotency-Key", key)]
        answer = alice.post(f"/v1/threads/{thread}/{path}", headers=headers, **body)
        assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


def _call(call: str, thread: str, played: str, recording: bytes) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Path, body, and another body."""
    match call:
        case "thread":
            return "/v1/threads", {"json": {"participants": ["x"]}}, {"json": {"participants": ["y"]}}
        case "text":
            return f"/v1/threads/{thread}/messages", {"json": {"text": "hi"}}, {"json": {"text": "ho"}}
        case "voice":
            return f"/v1/threads/{thread}/voice-messages", {"content": recording}, {"content": recording + b"\0"}
    return f"/v1/messages/{played}/transcripts", {"json": {"language": "de"}}, {"json": {}}
