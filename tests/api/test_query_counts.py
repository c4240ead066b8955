"""No list asks the database more often because it has more rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from storage import events, webhooks
from tests.api.conftest import Person, Server
from tests.api.listening import Listener
from tests.api.ready import Workers

MORE = 6


@pytest.fixture
def other_threads(alice: Person, bob: Person) -> list[str]:
    made = [alice.post("/v1/threads", json={"participants": [bob.name]}) for _ in range(MORE)]
    return [str(answer.json()["id"]) for answer in made]


def test_lists_ask_as_often_for_many_rows_as_for_one(
    server: Server,
    alice: Person,
    bob: Person,
    thread: str,
    recording: bytes,
    workers: Workers,
    other_threads: list[str],
) -> None:
    for place in (thread, *other_threads):
        workers.finish(alice.say(place, recording)["id"])
    for number in range(MORE):
        alice.post(f"/v1/threads/{thread}/messages", json={"text": f"bring the maps {number}"})
    for path in (f"/v1/threads/{thread}/messages?", "/v1/threads?", "/v1/search?q=maps&"):
        few, rows = asked(server, bob, f"{path}limit=2")
        assert rows == 2
        many, rows = asked(server, bob, f"{path}limit=50")
        assert rows > MORE
        # The search looks up to twice more where the newest messages hold too few.
        assert many <= few + 2 * ("search" in path)


def test_operators_lists_ask_as_often_for_many_rows_as_for_one(
    server: Server, alice: Person, thread: str, played: str, workers: Workers
) -> None:
    with server.person("operator", "admin") as operator:
        hooks = [operator.post("/v1/webhooks", json={"url": "https://example.org/"}).json()["id"] for _ in range(MORE)]
        for _ in range(MORE):
            alice.post(f"/v1/messages/{played}/transcripts")
            workers.transcribe(played)
        with server.services.database.transaction() as connection:
            webhooks.fan_out(connection, events.arrange(connection).last)
        for person, path in (
            (operator, "/v1/jobs?"),
            (operator, "/v1/webhooks?"),
            (operator, f"/v1/webhooks/{hooks[0]}/deliveries?"),
            (alice, f"/v1/messages/{played}/transcripts?"),
        ):
            few, rows = asked(server, person, f"{path}limit=2")
            assert rows == 2
            many, rows = asked(server, person, f"{path}limit=50")
            assert rows >= MORE
            assert many == few
        for hook in hooks:
            operator.delete(f"/v1/webhooks/{hook}")


def test_resuming_asks_as_often_for_many_events_as_for_one(
    server: Server, alice: Person, bob: Person, thread: str
) -> None:
    counts = {}
    for number in (1, 20):
        with Listener(bob) as before:
            place = before.place
        for _ in range(number):
            alice.post(f"/v1/threads/{thread}/messages", json={"text": "missed"})
        with Listener(bob, place) as resumed:
            resumed.wait_for(number)
        counts[number] = min(resumed_once(server, bob, place, number) for _ in range(4))
    assert counts[1] == counts[20]


def resumed_once(server: Server, person: Person, place: str | None, number: int) -> int:
    with counting(server) as count, Listener(person, place) as resumed:
        resumed.wait_for(number)
    return len(count)


def asked(server: Server, person: Person, path: str) -> tuple[int, int]:
    """How many statements a call takes, at the quietest of some moments, and how many rows it gives."""
    counts = []
    for _ in range(4):
        with counting(server) as count:
            items = person.get(path).json()["items"]
        counts.append(len(count))
    return min(counts), len(items)


@contextmanager
def counting(server: Server) -> Iterator[list[str]]:
    """The statements about messages that anybody runs meanwhile: the log's reader looks once a second by itself."""
    statements: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        if "event_log" not in statement and "position IS NULL" not in statement:
            statements.append(statement)

    engine = server.services.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
