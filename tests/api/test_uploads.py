"""Sending a recording, on the wire: what is taken, what is refused, and that nothing is half done."""

import http.client
import secrets
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from storage.tables import intents, voices
from tests import stack
from tests.api.conftest import SAMPLES, Person, Server, code_of, token


def test_a_form_is_taken_like_a_bare_body(server: Server, alice: Person, thread: str, recording: bytes) -> None:
    form = {"file": ("voice.m4a", recording, "audio/mp4")}
    answer = alice.post(f"/v1/threads/{thread}/voice-messages", data={"note": "for you"}, files=form)
    assert answer.status_code == 201
    assert _stored(server, answer.json()["id"]) == recording


@pytest.mark.parametrize("sample", sorted(file.name for file in SAMPLES.iterdir() if file.suffix != ".json"))
def test_every_container_that_phones_send_is_taken(server: Server, alice: Person, thread: str, sample: str) -> None:
    recording = (SAMPLES / sample).read_bytes()
    assert _stored(server, alice.say(thread, recording)["id"]) == recording


def test_a_body_of_unknown_length_is_taken(server: Server, alice: Person, thread: str, recording: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(recording), 5000):
            yield recording[start : start + 5000]

    answer = alice.post(f"/v1/threads/{thread}/voice-messages", content=pieces())
    assert answer.status_code == 201
    assert _stored(server, answer.json()["id"]) == recording


@pytest.mark.parametrize(
    "body", [b"", b"\0" * 100, b"<html>", b"hello, this is text", b"%PDF-1.4", b"PK\3\4" + b"x" * 9]
)
def test_what_is_no_recording_is_refused_at_once(alice: Person, thread: str, body: bytes) -> None:
    answer = alice.post(f"/v1/threads/{thread}/voice-messages", content=body)
    expected = (415, "unsupported_format") if body else (422, "no_audio")
    assert (answer.status_code, code_of(answer)) == expected
    in_a_form = alice.post(f"/v1/threads/{thread}/voice-messages", files={"file": ("a.m4a", body)})
    assert (in_a_form.status_code, code_of(in_a_form)) == expected
    assert alice.get(f"/v1/threads/{thread}/messages").json()["items"] == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"fLaC no form at all"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nfLaC"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: " + b"a" * 60_000 + b"\r\n\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nfLaC\r\n" * 2 + b"--x--\r\n",
        ),
    ],
)
def test_a_broken_form_is_refused(alice: Person, thread: str, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = alice.post(f"/v1/threads/{thread}/voice-messages", content=body, headers=headers)
    assert (answer.status_code, code_of(answer)) == (422, "invalid_request")


def test_too_large_a_recording_is_refused_before_and_while_it_comes(server: Server, alice: Person, thread: str) -> None:
    limit = server.services.ingest.max_bytes
    assert alice.get("/v1/limits").json()["max_bytes"] == limit
    path = f"/v1/threads/{thread}/voice-messages"
    exactly = b"fLaC" + b"\0" * (limit - 4)
    assert alice.post(path, content=exactly).status_code == 201
    assert alice.post(path, files={"file": exactly}).status_code == 201
    for answer in (
        alice.post(path, content=exactly + b"\0"),
        alice.post(path, content=iter([exactly, b"\0"])),
        alice.post(path, files={"file": exactly + b"\0"}),
        alice.post(path, files={"file": b"fLaC", "other": exactly + b"\0" * 65_536}),
    ):
        assert (answer.status_code, code_of(answer)) == (413, "too_large")


def test_the_refusal_of_a_large_body_comes_before_the_body(server: Server, thread: str, alice: Person) -> None:
    with _connected(server) as connection:
        connection.sendall(_head(alice, thread, "Content-Length: 9999999999\r\nExpect: 100-continue\r\n"))
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_stops_coming_is_given_up(server: Server, thread: str, alice: Person) -> None:
    with _connected(server) as connection:
        connection.sendall(_head(alice, thread, "Content-Length: 1000\r\n") + b"fLaC")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408
        assert b"body_timeout" in answer.read()


def test_a_client_that_goes_away_leaves_nothing_and_frees_its_key(
    server: Server, thread: str, alice: Person, recording: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key = secrets.token_hex(8)
    before = _intents(server)
    with _connected(server) as connection:
        connection.sendall(_head(alice, thread, f"Content-Length: 90000\r\nIdempotency-Key: {key}\r\n") + b"fLaC" * 99)
    path = f"/v1/threads/{thread}/voice-messages"
    stack.wait_until(
        lambda: alice.post(path, content=recording, headers={"Idempotency-Key": key}).status_code == 201, timeout_s=5
    )
    assert len(alice.get(f"/v1/threads/{thread}/messages").json()["items"]) == 1
    assert "Traceback" not in caplog.text
    assert _intents(server) == before


def test_what_is_sent_one_after_the_other_sorts_so_by_id(alice: Person, thread: str, recording: bytes) -> None:
    """Clients keep messages in the order of their ids."""
    path = f"/v1/threads/{thread}/voice-messages"
    sent = [alice.post(path, content=recording).json()["id"] for _ in range(20)]
    assert sent == sorted(sent)


def test_an_outage_of_the_object_store_is_told_and_harms_nothing(
    server: Server, thread: str, alice: Person, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = f"/v1/threads/{thread}/voice-messages", {"Idempotency-Key": secrets.token_hex(8)}
    with monkeypatch.context() as outage:
        outage.setattr(server.services.store, "_bucket", "a-bucket-that-is-not-there")
        answer = alice.post(path, content=recording, headers=key)
    assert (answer.status_code, code_of(answer)) == (503, "storage_unavailable")
    assert answer.headers["retry-after"]
    assert alice.get(f"/v1/threads/{thread}/messages").json()["items"] == []
    assert alice.post(path, content=recording, headers=key).status_code == 201


def test_a_slow_upload_keeps_its_key_and_others_wait(
    server: Server, thread: str, alice: Person, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.idempotency.LOCK_S", 1)
    key, path = secrets.token_hex(8), f"/v1/threads/{thread}/voice-messages"
    with _connected(server) as connection:
        head = _head(alice, thread, f"Content-Length: {len(recording)}\r\nIdempotency-Key: {key}\r\n")
        connection.sendall(head)
        for start in range(0, len(recording), 10_000):
            connection.sendall(recording[start : start + 10_000])
            time.sleep(0.5)
            if start < 20_000:
                busy = alice.post(path, content=recording, headers={"Idempotency-Key": key})
                assert (busy.status_code, code_of(busy)) == (409, "idempotency_conflict")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 201


def _head(person: Person, thread: str, headers: str) -> bytes:
    return (
        f"POST /v1/threads/{thread}/voice-messages HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token(person.name)}\r\n{headers}\r\n"
    ).encode()


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10)


def _stored(server: Server, message: str) -> bytes:
    with server.services.database.transaction() as connection:
        key = connection.execute(select(voices.c.original_key).where(voices.c.message_id == message)).scalar_one()
    with server.services.store.get(key) as stream:
        return stream.read()


def _intents(server: Server) -> set[str]:
    """Uploads that other tests broke off have left theirs for the sweep."""
    with server.services.database.transaction() as connection:
        return set(connection.execute(select(intents.c.object_key)).scalars())
