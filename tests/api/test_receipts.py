"""Where somebody stopped listening, on whichever device."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from tests.api.conftest import Person, Server, code_of
from tests.api.listening import Listener


def test_the_latest_position_counts_on_all_devices(bob: Person, played: str) -> None:
    path = f"/v1/messages/{played}/played"
    assert bob.get(path).json() == {"position_ms": 0, "completed": False, "updated_at": None}
    for position, completed in ((4000, False), (9000, True), (1500, False)):
        bob.post(path, json={"position_ms": position, "completed": completed})
    stopped = bob.get(path).json()
    assert (stopped["position_ms"], stopped["completed"]) == (1500, True)


def test_what_is_told_late_undoes_nothing_that_was_heard_since(bob: Person, played: str) -> None:
    path = f"/v1/messages/{played}/played"
    bob.post(path, json={"position_ms": 3000, "age_ms": 60_000})
    first = bob.get(path).json()
    bob.post(path, json={"position_ms": 7000})
    bob.post(path, json={"position_ms": 5000, "completed": True, "age_ms": 30_000})
    second = bob.get(path).json()
    assert (first["position_ms"], second["position_ms"], second["completed"]) == (3000, 7000, True)
    assert datetime.fromisoformat(second["updated_at"]) - datetime.fromisoformat(first["updated_at"]) >= timedelta(
        seconds=60
    )
    assert code_of(bob.post(path, json={"position_ms": 1, "age_ms": -1})) == "invalid_request"
    assert code_of(bob.post(path, json={"position_ms": 1, "age_ms": 10**12})) == "invalid_request"


def test_devices_that_finish_at_once_are_told_of_once(alice: Person, bob: Person, played: str) -> None:
    def finish(_: int) -> None:
        with Person(str(bob.base_url), bob.name) as device:
            device.post(f"/v1/messages/{played}/played", json={"position_ms": 1, "completed": True})

    with Listener(alice) as listening, ThreadPoolExecutor(8) as devices:
        list(devices.map(finish, range(8)))
        thread = alice.get(f"/v1/messages/{played}").json()["thread_id"]
        bob.post(f"/v1/threads/{thread}/read", json={"message_id": played})
        listening.wait_for(2)
        assert listening.types() == ["receipt.played", "receipt.read"]


def test_positions_are_one_s_own(server: Server, alice: Person, bob: Person, played: str) -> None:
    bob.post(f"/v1/messages/{played}/played", json={"position_ms": 700})
    assert alice.get(f"/v1/messages/{played}/played").json()["position_ms"] == 0
    with server.person("carol") as carol:
        assert code_of(carol.get(f"/v1/messages/{played}/played")) == "not_found"


def test_who_joins_later_has_not_read_what_was_before(server: Server, alice: Person, thread: str) -> None:
    before = alice.post(f"/v1/threads/{thread}/messages", json={"text": "before"}).json()["id"]
    with server.person("carol") as carol:
        alice.post(f"/v1/threads/{thread}/participants", json={"user_id": carol.name})
        after = alice.post(f"/v1/threads/{thread}/messages", json={"text": "after"}).json()["id"]
        assert code_of(carol.post(f"/v1/threads/{thread}/read", json={"message_id": before})) == "not_found"
        assert code_of(carol.get(f"/v1/messages/{before}")) == "not_found"
        carol.post(f"/v1/threads/{thread}/read", json={"message_id": after})
        assert alice.get(f"/v1/messages/{after}").json()["receipts"]["read_by"] == [carol.name]
        assert alice.get(f"/v1/messages/{before}").json()["receipts"]["read_by"] == []
