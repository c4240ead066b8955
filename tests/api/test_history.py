"""What an import brought, as people see it."""

from datetime import UTC, datetime

from storage import arrivals, intents
from storage.ids import new_id
from storage.jobs import Lane
from storage.messages import Original
from tests.api.conftest import Person, Server


def test_history_is_paged_through_like_anything_else(server: Server, alice: Person, bob: Person, thread: str) -> None:
    written = alice.post(f"/v1/threads/{thread}/messages", json={"text": "today"}).json()["id"]
    brought = [bring(server, alice.name, thread, year) for year in (2019, 2018, 2017)]
    found, cursor = [], None
    while True:
        page = bob.get(
            f"/v1/threads/{thread}/messages", params={"limit": 1} | ({"cursor": cursor} if cursor else {})
        ).json()
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert [message["id"] for message in found] == [written, *brought]
    assert found[1]["created_at"] == "2019-01-01T00:00:00Z"
    seen = bob.get(f"/v1/threads/{thread}").json()
    assert (seen["unread_count"], seen["unplayed_count"], seen["last_message"]["id"]) == (1, 0, written)
    assert bob.post(f"/v1/threads/{thread}/read", json={"message_id": brought[0]}).status_code == 204
    assert bob.get(f"/v1/threads/{thread}").json()["unread_count"] == 1


def bring(server: Server, sender: str, thread: str, year: int) -> str:
    sent_at = datetime(year, 1, 1, tzinfo=UTC)
    message = new_id("msg", sent_at.timestamp())
    original = Original(f"messages/{message}/original/x", 1, "0" * 64, "ogg")
    with server.services.database.transaction() as connection:
        intents.declare(connection, message, [original.object_key], ttl_s=60)
        arrivals.add_voice(
            connection,
            message,
            thread,
            sender,
            original,
            language=None,
            external_id=None,
            lane=Lane.BATCH,
            sent_at=sent_at,
        )
    return message
