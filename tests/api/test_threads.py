import secrets

import pytest
from sqlalchemy import update

from storage import threads
from storage.tables import voices
from tests.api.conftest import Person, Server, code_of
from tests.api.ready import Workers


def test_who_makes_a_thread_is_in_it(alice: Person, bob: Person) -> None:
    answer = alice.post("/v1/threads", json={"participants": [bob.name, bob.name], "title": "Bridge"})
    assert answer.status_code == 201
    made = answer.json()
    assert made["participants"] == sorted([alice.name, bob.name])
    assert made["title"] == "Bridge"
    assert made["external_id"] is None
    assert made["last_message"] is None
    assert (made["unread_count"], made["unplayed_count"]) == (0, 0)
    assert bob.get(answer.headers["location"]).json()["id"] == made["id"]


def test_somebody_elses_thread_looks_like_none(server: Server, thread: str) -> None:
    with server.person("eve") as eve:
        assert code_of(eve.get(f"/v1/threads/{thread}")) == "not_found"
        assert code_of(eve.get(f"/v1/threads/{thread}/messages")) == "not_found"
        assert code_of(eve.post(f"/v1/threads/{thread}/messages", json={"text": "hello"})) == "not_found"
        assert code_of(eve.post(f"/v1/threads/{thread}/voice-messages", content=b"x")) == "not_found"
        assert code_of(eve.post(f"/v1/threads/{thread}/participants", json={"user_id": eve.name})) == "not_found"
        assert eve.get("/v1/threads").json() == {"items": [], "next_cursor": None}


def test_threads_are_listed_by_newest_activity_page_by_page(alice: Person) -> None:
    ids = [alice.post("/v1/threads", json={"participants": []}).json()["id"] for _ in range(5)]
    alice.post(f"/v1/threads/{ids[1]}/messages", json={"text": "newest"})
    seen: list[str] = []
    cursor = None
    while True:
        page = alice.get("/v1/threads", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [ids[1], ids[4], ids[3], ids[2], ids[0]]
    first = alice.get("/v1/threads", params={"limit": 1}).json()["items"][0]
    assert first["last_message"]["text"] == "newest"


def test_unread_and_unplayed_are_counted_per_person(alice: Person, bob: Person, thread: str, message: str) -> None:
    text = alice.post(f"/v1/threads/{thread}/messages", json={"text": "and this"}).json()["id"]
    assert _counts(alice, thread) == (0, 0)
    assert _counts(bob, thread) == (2, 1)
    assert bob.post(f"/v1/threads/{thread}/read", json={"message_id": message}).status_code == 204
    assert _counts(bob, thread) == (1, 1)
    assert bob.post(f"/v1/threads/{thread}/read", json={"message_id": text}).status_code == 204
    assert bob.post(f"/v1/threads/{thread}/read", json={"message_id": message}).status_code == 204
    assert _counts(bob, thread) == (0, 1)
    assert bob.post(f"/v1/messages/{message}/played", json={"position_ms": 900, "completed": True}).status_code == 204
    assert _counts(bob, thread) == (0, 0)
    receipts = alice.get(f"/v1/messages/{message}").json()["receipts"]
    assert receipts == {"read_by": [bob.name], "played_by": [bob.name]}


def test_what_can_not_be_played_is_not_unplayed(
    alice: Person, bob: Person, thread: str, recording: bytes, workers: Workers, server: Server
) -> None:
    said = [alice.say(thread, recording)["id"] for _ in range(4)]
    workers.make_ready(said[0])
    workers.reject(said[1], "too_long", "61 s")
    workers.give_up(said[2])
    assert _counts(bob, thread) == (4, 2)
    with server.services.database.transaction() as connection:
        connection.execute(update(voices).where(voices.c.message_id == said[0]).values(renditions=[]))
    assert _counts(bob, thread) == (4, 1)


def test_only_the_newest_messages_are_counted(
    alice: Person, bob: Person, thread: str, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a list of huge threads takes no longer than one of small ones."""
    monkeypatch.setattr(threads, "COUNTED", 3)
    alice.say(thread, recording)
    for number in range(3):
        assert _counts(bob, thread) == (1 + number, 1)
        alice.post(f"/v1/threads/{thread}/messages", json={"text": str(number)})
    assert _counts(bob, thread) == (3, 0)


def test_people_join_and_leave(server: Server, alice: Person, bob: Person, thread: str) -> None:
    with server.person("carol") as carol:
        for _ in range(2):
            joined = alice.post(f"/v1/threads/{thread}/participants", json={"user_id": carol.name})
            assert joined.status_code == 204
        assert carol.get(f"/v1/threads/{thread}").status_code == 200
        assert code_of(bob.delete(f"/v1/threads/{thread}/participants/{carol.name}")) == "forbidden"
        assert carol.delete(f"/v1/threads/{thread}/participants/{carol.name}").status_code == 204
        assert code_of(carol.get(f"/v1/threads/{thread}")) == "not_found"
    assert alice.delete(f"/v1/threads/{thread}/participants/{bob.name}").status_code == 204
    assert code_of(bob.get(f"/v1/threads/{thread}")) == "not_found"


def test_a_name_may_hold_what_a_path_can_not(alice: Person, thread: str) -> None:
    name = "zoë/1 & co?"
    assert alice.post(f"/v1/threads/{thread}/participants", json={"user_id": name}).status_code == 204
    assert name in alice.get(f"/v1/threads/{thread}").json()["participants"]
    gone = alice.delete(f"/v1/threads/{thread}/participants/zo%C3%AB%2F1%20%26%20co%3F")
    assert gone.status_code == 204
    assert name not in alice.get(f"/v1/threads/{thread}").json()["participants"]


def test_a_thread_has_at_most_256_people(alice: Person) -> None:
    others = [f"guest-{number}" for number in range(256)]
    assert code_of(alice.post("/v1/threads", json={"participants": others})) == "invalid_request"
    made = alice.post("/v1/threads", json={"participants": others[:255]})
    assert made.status_code == 201
    thread = made.json()["id"]
    full = alice.post(f"/v1/threads/{thread}/participants", json={"user_id": "one-more"})
    assert (full.status_code, code_of(full)) == (422, "invalid_request")
    assert alice.post(f"/v1/threads/{thread}/participants", json={"user_id": others[0]}).status_code == 204


def test_the_host_application_finds_its_own_thread_again(server: Server, alice: Person, bob: Person) -> None:
    own_id = f"deal-{secrets.token_hex(4)}"
    with server.person("backend", "service") as backend:
        as_alice, as_bob = ({"Earshot-User": person.name} for person in (alice, bob))
        body = {"participants": ["carol"], "title": "Deal", "external_id": own_id}
        first = backend.post("/v1/threads", json=body, headers=as_alice)
        assert first.status_code == 201
        assert first.json()["external_id"] == own_id
        again = backend.post("/v1/threads", json=body | {"title": "Other"}, headers=as_alice)
        assert (again.status_code, again.json()) == (200, first.json())
        stranger = backend.post("/v1/threads", json=body, headers=as_bob)
        assert (stranger.status_code, stranger.json()["id"]) == (200, first.json()["id"])
        assert code_of(backend.get(f"/v1/threads/{first.json()['id']}", headers=as_bob)) == "not_found"
        missing = backend.get("/v1/threads")
        assert (missing.status_code, code_of(missing)) == (400, "invalid_request")
    refused = alice.post("/v1/threads", json={"participants": [], "external_id": own_id})
    assert (refused.status_code, code_of(refused)) == (403, "forbidden")
    assert code_of(alice.get("/v1/threads", headers={"Earshot-User": bob.name})) == "forbidden"


def test_a_thread_that_everybody_left_is_found_empty(server: Server, alice: Person) -> None:
    with server.person("backend", "service", {"Earshot-User": alice.name}) as backend:
        body = {"participants": [], "external_id": f"left-{secrets.token_hex(4)}"}
        thread = backend.post("/v1/threads", json=body).json()["id"]
        assert backend.delete(f"/v1/threads/{thread}/participants/{alice.name}").status_code == 204
        again = backend.post("/v1/threads", json=body)
    assert (again.status_code, again.json()["id"], again.json()["participants"]) == (200, thread, [])


@pytest.mark.parametrize(
    "cursor", ["x", "!!!", "WyJhIl0", "W10", "bnVsbA", "WzEsMl0", "W3RydWVd", "%00", "é", "W1tbW1tbW1tb"]
)
def test_a_broken_cursor_is_refused(alice: Person, thread: str, cursor: str) -> None:
    for path in ("/v1/threads", f"/v1/threads/{thread}/messages"):
        assert code_of(alice.get(path, params={"cursor": cursor})) == "invalid_request"


def _counts(person: Person, thread: str) -> tuple[int, int]:
    found = person.get(f"/v1/threads/{thread}").json()
    return found["unread_count"], found["unplayed_count"]
