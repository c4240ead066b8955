"""Calls that bring a recording go past the framework's router: what it does for others is done for them too."""

import http.client
from base64 import b64encode
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from ingest.resumable import Resumable
from ingest.voice import Intake
from tests.api.conftest import Person, Server, code_of

CREATION = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}


@pytest.mark.parametrize(("room", "method"), [(Intake, "begin"), (Resumable, "create")])
def test_a_defect_is_told_as_such_and_without_its_trace(
    alice: Person, thread: str, monkeypatch: pytest.MonkeyPatch, room: type, method: str
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(room, method, broken)
    if room is Intake:
        answer = alice.post(f"/v1/threads/{thread}/voice-messages", content=b"x", headers={"Idempotency-Key": "k"})
    else:
        named = f"thread_id {b64encode(thread.encode()).decode()}"
        answer = alice.post("/v1/uploads", headers=CREATION | {"Upload-Metadata": named})
    assert (answer.status_code, code_of(answer)) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/threads/{thread}/voice-messages", 405),
        ("GET", "/v1/uploads", 405),
        ("POST", "/v1/threads/{thread}/voice-messages/", 404),
        ("POST", "/v1/threads/{thread}%2Fvoice-messages/voice-messages", 404),
        ("POST", "/v1/uploads/", 404),
        ("PATCH", "/v1/uploads/a/b", 404),
    ],
)
def test_what_only_looks_like_one_is_refused_as_elsewhere(
    server: Server, alice: Person, thread: str, method: str, path: str, status: int
) -> None:
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
        headers = {"Authorization": alice.headers["authorization"], "Tus-Resumable": "1.0.0"}
        connection.request(method, path.format(thread=thread), headers=headers)
        with connection.getresponse() as answer:
            assert answer.status == status
            assert answer.getheader("content-type") == "application/problem+json"


def test_they_are_counted_by_their_routes(alice: Person, thread: str, recording: bytes) -> None:
    alice.say(thread, recording)
    counted = alice.get("/metrics").text
    assert 'route="/v1/threads/{thread_id}/voice-messages",status="201"' in counted
