"""Nothing that a client sends gets a 500: each refusal is a problem with its code."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person, code_of

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"text": 1}',
        b'{"text": ""}',
        b'{"text": " \\n "}',
        b'{"text": "a\\u0000b"}',
        b'{"text": "\\ud800"}',
        b'{"text": NaN}',
        b'{"text": ' + b"9" * 5000 + b"}",
        b'{"text": ' + DEEP + b"}",
        json.dumps({"text": "x" * 1_000_000}).encode(),
    ],
    ids=lambda body: body[:24],
)
def test_a_text_that_is_none_is_refused(alice: Person, thread: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = alice.post(f"/v1/threads/{thread}/messages", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert code_of(answer) == "invalid_request"


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "a/b;;=", "é"])
def test_json_of_another_type_is_refused(alice: Person, thread: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {b"Content-Type": content_type.encode("latin-1")}
    answer = alice.post(f"/v1/threads/{thread}/messages", content=b'{"text": "hi"}', headers=headers)
    assert code_of(answer) == "invalid_request"


def test_a_body_longer_than_any_json_is_refused(alice: Person, thread: str) -> None:
    path = f"/v1/threads/{thread}/messages"
    headers = {"Content-Type": "application/json"}
    for content in (b" " * 1_100_000, iter([b" " * 600_000] * 2)):
        answer = alice.post(path, content=content, headers=headers)
        assert (answer.status_code, code_of(answer)) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"participants": None},
        {"participants": "bob"},
        {"participants": [1]},
        {"participants": [""]},
        {"participants": ["a\0b"]},
        {"participants": ["a\nb"]},
        {"participants": ["a" * 129]},
        {"participants": ["\ud800"]},
        {"participants": [f"u{number}" for number in range(10_000)]},
        {"participants": [], "title": "a\0b"},
        {"participants": [], "title": "t" * 201},
        {"participants": [], "title": {"deep": []}},
    ],
    ids=lambda body: str(body)[:40].encode(errors="replace").decode(),
)
def test_a_thread_that_can_not_be_is_refused(alice: Person, body: dict[str, Any]) -> None:
    answer = alice.post("/v1/threads", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answer.status_code, code_of(answer)) == (422, "invalid_request")


@pytest.mark.parametrize("limit", ["0", "-1", "101", "99999999999999999999999", "1e3", "", "x", "%00", "NaN"])
def test_a_limit_out_of_bounds_is_refused_by_every_list(admin: Person, limit: str) -> None:
    document = admin.get("/openapi.json").json()["paths"]
    lists = [path for path, calls in document.items() if _is_list(calls.get("get", {}))]
    assert len(lists) >= 8
    for path in lists:
        assert code_of(admin.get(f"{path}?q=word&limit={limit}")) == "invalid_request", path


def _is_list(call: dict[str, Any]) -> bool:
    content = call.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
    return "Page_" in content.get("schema", {}).get("$ref", "")


@pytest.mark.parametrize(
    "unknown",
    [
        "x",
        "thr_",
        "msg_" + "0" * 26,
        "thr_" + "0" * 26,
        "%00",
        "a%00b",
        "%ff",
        "%ED%A0%80",
        "..",
        "thr_" + "é" * 26,
        "0" * 5000,
    ],
)
def test_an_unknown_id_is_nothing(alice: Person, admin: Person, unknown: str) -> None:
    calls = [
        ("GET", f"/v1/threads/{unknown}", None),
        ("GET", f"/v1/threads/{unknown}/messages", None),
        ("POST", f"/v1/threads/{unknown}/messages", {"text": "hi"}),
        ("POST", f"/v1/threads/{unknown}/voice-messages", None),
        ("POST", f"/v1/threads/{unknown}/read", {"message_id": unknown[:60]}),
        ("POST", f"/v1/threads/{unknown}/participants", {"user_id": "bob"}),
        ("DELETE", f"/v1/threads/{unknown}/participants/{unknown}", None),
        ("GET", f"/v1/messages/{unknown}", None),
        ("DELETE", f"/v1/messages/{unknown}", None),
        ("GET", f"/v1/messages/{unknown}/audio", None),
        ("GET", f"/v1/messages/{unknown}/waveform", None),
        ("GET", f"/v1/messages/{unknown}/transcript", None),
        ("GET", f"/v1/messages/{unknown}/transcripts", None),
        ("POST", f"/v1/messages/{unknown}/transcripts", {}),
        ("POST", f"/v1/messages/{unknown}/transcripts/{unknown}/activate", None),
        ("PUT", f"/v1/messages/{unknown}/transcript/correction", {"text": "hi"}),
        ("DELETE", f"/v1/messages/{unknown}/transcript/correction", None),
        ("POST", f"/v1/messages/{unknown}/played", {"position_ms": 1}),
    ]
    for method, path, body in calls:
        answer = alice.request(method, path, json=body)
        assert answer.status_code in (404, 405), (method, path, answer.text)
        assert code_of(answer) in ("not_found", "method_not_allowed")
    assert admin.post(f"/v1/jobs/{unknown}/retry").status_code in (404, 405)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"position_ms": -1},
        {"position_ms": 10**30},
        {"position_ms": 1.5},
        {"position_ms": "far"},
        {"position_ms": 1, "completed": "perhaps"},
    ],
)
def test_a_position_that_is_none_is_refused(alice: Person, played: str, body: dict[str, Any]) -> None:
    assert code_of(alice.post(f"/v1/messages/{played}/played", json=body)) == "invalid_request"


@pytest.mark.parametrize(
    "query",
    [
        "language=x",
        "language=xx",
        "language=%00",
        "language=en%0aX",
        "language=" + "a" * 500,
        "external_id=%00",
        "external_id=",
    ],
)
def test_upload_parameters_are_checked(alice: Person, thread: str, recording: bytes, query: str) -> None:
    answer = alice.post(f"/v1/threads/{thread}/voice-messages?{query}", content=recording)
    assert code_of(answer) == "invalid_request"


def test_reading_up_to_a_message_of_another_thread_is_refused(alice: Person, thread: str, message: str) -> None:
    other = alice.post("/v1/threads", json={"participants": []}).json()["id"]
    for unknown in (message, "msg_" + "0" * 26, "x", ""):
        assert code_of(alice.post(f"/v1/threads/{other}/read", json={"message_id": unknown})) == "not_found"


def test_addresses_and_methods_that_are_none_are_problems_too(alice: Person) -> None:
    for path in ("/v1", "/v1/", "/nothing", "/v1/thread", "/v1/threads/", "/v2/threads"):
        assert code_of(alice.get(path)) == "not_found"
    for method, path in (("PATCH", "/v1/threads"), ("DELETE", "/v1/limits"), ("POST", "/")):
        answer = alice.request(method, path)
        assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
        assert answer.headers["allow"]


def test_what_is_no_http_is_a_problem_too(alice: Person) -> None:
    answer = alice.request("BREW", "/v1/threads")
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


def test_odd_headers_harm_nothing(server: Any, alice: Person) -> None:
    for headers in (
        [(b"Idempotency-Key", b"\xff\xff")],
        [(b"X-Odd", bytes(range(128, 256)))],
        [(b"Cookie", b"a" * 30_000)],
        [(b"Accept", b"\xc3")],
        [(b"Host", b"evil.example")],
        [(b"Origin", b"\xff")],
        [(b"Content-Length", b"0"), (b"Content-Type", b"application/json")],
    ):
        assert alice.get("/v1/threads", headers=headers).status_code == 200
    assert httpx.get(server.url + "/healthz", headers=[(b"Authorization", b"\xff")]).status_code == 200
