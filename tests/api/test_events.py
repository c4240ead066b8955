"""Events reach whoever may see them, once, in order, however often the connection breaks."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

import pytest

from api.hub import allow_many_files
from storage import events, messages, threads
from tests import stack
from tests.api.conftest import Person, Server, app_on, serving, token
from tests.api.listening import Listener
from tests.api.ready import Workers


@pytest.fixture
def listening(bob: Person, thread: str) -> Iterator[Listener]:
    with Listener(bob) as listener:
        yield listener


def test_a_voice_message_is_followed_to_its_text(
    alice: Person, bob: Person, thread: str, recording: bytes, workers: Workers, listening: Listener
) -> None:
    sent = alice.say(thread, recording)
    workers.finish(sent["id"])
    heard = listening.wait_for(3)
    assert listening.types() == ["message.created", "voice.ready", "transcript.completed"]
    assert heard[-1].data == bob.get(f"/v1/messages/{sent['id']}").json()
    assert len({event.id for event in heard}) == 3


def test_receipts_are_told_with_who_gave_them(alice: Person, bob: Person, played: str, thread: str) -> None:
    with Listener(alice) as listening:
        bob.post(f"/v1/messages/{played}/played", json={"position_ms": 5, "completed": True})
        bob.post(f"/v1/messages/{played}/played", json={"position_ms": 9, "completed": True})
        bob.post(f"/v1/threads/{thread}/read", json={"message_id": played})
        heard = listening.wait_for(2)
    assert [(event.type, event.data["user_id"], event.data["id"]) for event in heard] == [
        ("receipt.played", bob.name, played),
        ("receipt.read", bob.name, played),
    ]
    assert heard[1].data["receipts"] == {"read_by": [bob.name], "played_by": [bob.name]}


def test_of_a_deleted_message_only_that_is_told(alice: Person, bob: Person, thread: str, listening: Listener) -> None:
    place = listening.place
    said = alice.post(f"/v1/threads/{thread}/messages", json={"text": "never mind"}).json()["id"]
    alice.delete(f"/v1/messages/{said}")
    stack.wait_until(lambda: "message.deleted" in listening.types())
    with Listener(bob, place) as later:
        (told,) = later.wait_for(1)
    assert (told.type, told.data) == ("message.deleted", {"id": said, "thread_id": thread})


def test_a_broken_connection_is_resumed_without_gap_or_double(alice: Person, bob: Person, thread: str) -> None:
    with Listener(bob) as first:
        _say(alice, thread, "one")
        place = first.wait_for(1)[0].id
    for number in range(events.STRIDE + 5):
        _say(alice, thread, str(number))
    with Listener(bob, place) as second:
        heard = second.wait_for(events.STRIDE + 5)
        _say(alice, thread, "live")
        second.wait_for(events.STRIDE + 6)
    assert [event.data["text"] for event in heard] == [*map(str, range(events.STRIDE + 5)), "live"]


@pytest.mark.parametrize("place", ["nonsense", "ffffffffffff", "", "-1"])
def test_a_place_that_is_not_in_the_log_begins_anew(alice: Person, bob: Person, thread: str, place: str) -> None:
    with Listener(bob, place) as listening:
        _say(alice, thread, "hello")
        assert [event.type for event in listening.wait_for(2)] == ["reset", "message.created"]


def test_what_is_older_than_the_log_begins_anew(server: Server, alice: Person, bob: Person, thread: str) -> None:
    with Listener(bob) as listening:
        place = listening.place
        _say(alice, thread, "soon forgotten")
        listening.wait_for(1)
    with server.services.database.transaction() as connection:
        assert events.trim(connection, kept=-events.KEPT) > 0
    with Listener(bob, place) as late:
        assert late.wait_for(1)[0].type == "reset"


def test_a_transaction_held_open_keeps_nothing_back_and_loses_nothing(
    server: Server, alice: Person, bob: Person, thread: str
) -> None:
    """The one that began first commits last: its events come then, behind those told already."""
    other = alice.post("/v1/threads", json={"participants": [bob.name]}).json()["id"]
    with Listener(bob) as listening:
        with server.services.database.transaction() as slow:
            first = messages.add_text(slow, thread, alice.name, "began first")
            _say(alice, other, "committed first")
            assert listening.wait_for(1)[0].data["text"] == "committed first"
            place = listening.heard[0].id
        assert listening.wait_for(2)[1].data["id"] == first
    with Listener(bob, place) as resumed:
        assert [event.data["id"] for event in resumed.wait_for(1)] == [first]


def test_who_is_not_in_the_thread_hears_nothing(server: Server, alice: Person, bob: Person, thread: str) -> None:
    with server.person("carol") as carol, Listener(carol) as hers, Listener(bob) as his:
        _say(alice, thread, "before she comes")
        alice.post(f"/v1/threads/{thread}/participants", json={"user_id": carol.name})
        _say(alice, thread, "welcome")
        hers.wait_for(1)
        carol.delete(f"/v1/threads/{thread}/participants/{carol.name}")
        _say(alice, thread, "after she left")
        his.wait_for(3)
        _say(carol, carol.post("/v1/threads", json={"participants": []}).json()["id"], "alone")
        hers.wait_for(2)
        assert [event.data["text"] for event in hers.heard] == ["welcome", "alone"]


def test_what_happened_before_one_could_see_is_not_resumed(server: Server, alice: Person, thread: str) -> None:
    with server.person("carol") as carol:
        with Listener(carol) as before:
            place = before.place
        _say(alice, thread, "before")
        with server.services.database.transaction() as connection:
            threads.add_member(connection, thread, carol.name, history=False)
        _say(alice, thread, "after")
        with Listener(carol, place) as hers:
            hers.wait_for(1)
            assert [event.data["text"] for event in hers.heard] == ["after"]


def test_all_devices_hear_it_once(alice: Person, bob: Person, thread: str) -> None:
    listeners = [Listener(bob) for _ in range(5)]
    _say(alice, thread, "everywhere")
    for listener in listeners:
        listener.wait_for(1)
        listener.close()
        assert listener.types() == ["message.created"]


def test_what_one_server_is_told_is_heard_at_the_others(
    server: Server, s3: stack.S3, alice: Person, bob: Person, thread: str
) -> None:
    """A place in the log is the same place everywhere. A signal has none: it may overtake what was said before it."""
    database_url = server.services.storage.database_url
    with serving(lambda url, rings: app_on(s3, database_url, url, rings)) as other:
        with Listener(bob, url=other.url) as there, Listener(bob) as here:
            _say(alice, thread, "one")
            alice.post(f"/v1/threads/{thread}/signals", json={"kind": "typing"})
            heard = {event.type: event for event in there.wait_for(2)}
            assert heard.keys() == {"message.created", "typing"}
            assert {event.type: event for event in here.wait_for(2)} == heard
            place = heard["message.created"].id
        _say(alice, thread, "two")
        with Listener(bob, place, url=other.url) as there, Listener(bob, place) as here:
            assert [event.data["text"] for event in there.wait_for(1)] == ["two"]
            assert there.heard == here.wait_for(1)


def test_a_thousand_streams_hear_one_message(alice: Person, bob: Person, thread: str) -> None:
    """Of one person at that, who is not cut off."""
    allow_many_files()
    request = f"GET /v1/events HTTP/1.1\r\nHost: here\r\nAuthorization: {bob.headers['Authorization']}\r\n\r\n"
    with ExitStack() as closed:
        streams = []
        for _ in range(1_000):
            connection = closed.enter_context(
                socket.create_connection((bob.base_url.host, bob.base_url.port), timeout=30)
            )
            connection.sendall(request.encode())
            streams.append(closed.enter_context(connection.makefile("rb")))
        for stream in streams:
            _read_until(stream, b"id: ")
        _say(alice, thread, "hello, all of you")
        for stream in streams:
            assert b"hello, all of you" in _read_until(stream, b"data: ")


def _read_until(stream: BinaryIO, beginning: bytes) -> bytes:
    return next(line for line in stream if line.startswith(beginning))


def test_a_stream_ends_with_its_token(server: Server, bob: Person) -> None:
    bob.headers["Authorization"] = f"Bearer {token(bob.name, exp=time.time() + 2)}"
    with Listener(bob) as listening:
        stack.wait_until(listening.ended.is_set, timeout_s=10)


def test_a_stream_may_outlast_all_clocks(alice: Person, bob: Person, thread: str) -> None:
    bob.headers["Authorization"] = f"Bearer {token(bob.name, exp=10**400)}"
    with Listener(bob) as listening:
        _say(alice, thread, "still there?")
        assert listening.wait_for(1)[0].type == "message.created"


def test_the_log_needs_a_token(server: Server) -> None:
    with server.person("nobody") as nobody:
        del nobody.headers["Authorization"]
        assert nobody.get("/v1/events").status_code == 401


def _say(person: Person, thread: str, text: str) -> None:
    answer = person.post(f"/v1/threads/{thread}/messages", json={"text": text})
    assert answer.status_code == 201, answer.text
