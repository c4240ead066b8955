"""Who types or records is told to the others, and to nobody later."""

from api.signals import BURST
from tests.api.conftest import Person, Server, code_of
from tests.api.listening import Listener


def test_the_others_hear_who_is_recording(server: Server, alice: Person, bob: Person, thread: str) -> None:
    with server.person("carol") as carol, Listener(alice) as hers, Listener(bob) as his, Listener(carol) as outside:
        for kind in ("recording", "typing"):
            assert alice.post(f"/v1/threads/{thread}/signals", json={"kind": kind}).status_code == 204
        his.wait_for(2)
        bob.post(f"/v1/threads/{thread}/messages", json={"text": "I hear you"})
        hers.wait_for(1)
    assert [(event.id, event.type, event.data) for event in his.heard[:2]] == [
        (None, kind, {"thread_id": thread, "user_id": alice.name}) for kind in ("recording", "typing")
    ]
    assert hers.types() == ["message.created"]
    assert outside.heard == []


def test_a_signal_is_not_resumed(alice: Person, bob: Person, thread: str) -> None:
    with Listener(bob) as before:
        place = before.place
        alice.post(f"/v1/threads/{thread}/signals", json={"kind": "typing"})
        before.wait_for(1)
    alice.post(f"/v1/threads/{thread}/messages", json={"text": "done typing"})
    with Listener(bob, place) as after:
        assert [event.type for event in after.wait_for(1)] == ["message.created"]


def test_signals_are_for_members_and_of_two_kinds(server: Server, alice: Person, thread: str) -> None:
    with server.person("carol") as carol:
        assert code_of(carol.post(f"/v1/threads/{thread}/signals", json={"kind": "typing"})) == "not_found"
    for kind in ("singing", "", None, 1):
        assert code_of(alice.post(f"/v1/threads/{thread}/signals", json={"kind": kind})) == "invalid_request"


def test_too_many_signals_are_refused(alice: Person, thread: str) -> None:
    answers = [alice.post(f"/v1/threads/{thread}/signals", json={"kind": "typing"}) for _ in range(3 * BURST)]
    refused = [answer for answer in answers if answer.status_code != 204]
    assert len(refused) >= BURST
    assert {code_of(answer) for answer in refused} == {"rate_limited"}
    assert int(refused[-1].headers["Retry-After"]) >= 1
