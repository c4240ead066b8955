"""Webhooks: signed as the standard has it, tried again, logged, and sent nowhere private."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pipeline.courier import Courier
from pipeline.outbound import Outbound
from storage import events, webhooks
from tests import stack
from tests.api.conftest import Person, Server, code_of
from tests.api.ready import Workers
from tests.api.receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def _loopback_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_WEBHOOK_ALLOW_LOOPBACK", "true")


@pytest.fixture
def courier(server: Server) -> Iterator[Courier]:
    sending = Courier(server.services.database, server.services.renderer, Outbound(allow_loopback=True))
    sending.start()
    yield sending
    sending.close()


@contextmanager
def hooked(backend: Person, receiver: Receiver, **options: Any) -> Iterator[dict[str, Any]]:
    answer = backend.post("/v1/webhooks", json={"url": receiver.url, **options})
    assert answer.status_code == 201, answer.text
    hook: dict[str, Any] = answer.json()
    yield hook
    backend.delete(f"/v1/webhooks/{hook['id']}")


@pytest.fixture
def backend(server: Server) -> Iterator[Person]:
    with server.person("backend", "service") as backend:
        yield backend


def test_every_step_of_a_message_is_delivered_and_signed(
    alice: Person, backend: Person, thread: str, recording: bytes, workers: Workers, courier: Courier
) -> None:
    with receiving() as receiver, hooked(backend, receiver) as hook:
        message = alice.say(thread, recording)["id"]
        workers.finish(message)
        stack.wait_until(lambda: len(receiver.calls) == 3)
    for headers, body in receiver.calls:
        Webhook(hook["secret"]).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["secret"]).verify(body + b" ", headers)
    by_type = {content["type"]: content["data"] for content in receiver.contents()}
    assert set(by_type) == {"message.created", "voice.ready", "transcript.completed"}
    assert by_type["transcript.completed"]["voice"]["transcript"]["text"].startswith("Can we meet")
    assert by_type["transcript.completed"]["preview"].startswith("Voice message, 0:")


def test_only_what_was_asked_for_is_sent(alice: Person, backend: Person, thread: str, courier: Courier) -> None:
    with receiving() as receiver, hooked(backend, receiver, events=["message.deleted"]):
        gone = say(alice, thread)
        alice.delete(f"/v1/messages/{gone}")
        stack.wait_until(lambda: len(receiver.calls) == 1)
        assert receiver.contents()[0]["data"] == {"id": gone, "thread_id": thread}


def test_both_secrets_sign_while_a_receiver_changes_over(
    alice: Person, backend: Person, thread: str, courier: Courier
) -> None:
    with receiving() as receiver, hooked(backend, receiver) as hook:
        renewed = backend.post(f"/v1/webhooks/{hook['id']}/secrets")
        assert renewed.status_code == 201
        say(alice, thread)
        stack.wait_until(lambda: len(receiver.calls) == 1)
    headers, body = receiver.calls[0]
    for secret in (hook["secret"], renewed.json()["secret"]):
        Webhook(secret).verify(body, headers)


def test_a_failure_is_tried_again_under_the_same_id(
    server: Server, alice: Person, backend: Person, thread: str, courier: Courier
) -> None:
    """A redirect is a failure: nothing is followed."""
    with (
        receiving([302, 500, 200], answer=b"secret of the receiver" * 1000) as receiver,
        hooked(backend, receiver) as hook,
    ):
        say(alice, thread)
        for attempts, status in ((1, 302), (2, 500), (3, 200)):
            logged = wait_for_attempt(backend, hook, attempts)
            assert logged["response_status"] == status
            make_due(server, hook)
        assert logged["state"] == "delivered"
        assert "secret of the receiver" not in backend.get(f"/v1/webhooks/{hook['id']}/deliveries").text
    assert {headers["webhook-id"] for headers, _ in receiver.calls} == {logged["id"]}


def test_retries_end_after_three_days(
    server: Server, alice: Person, backend: Person, thread: str, courier: Courier
) -> None:
    assert 74 < sum(webhooks.RETRY_AFTER_S) / 3600 < 77
    with receiving([500]) as receiver, hooked(backend, receiver) as hook:
        say(alice, thread)
        for attempts in range(1, len(webhooks.RETRY_AFTER_S) + 2):
            logged = wait_for_attempt(backend, hook, attempts)
            make_due(server, hook)
        assert (logged["state"], logged["next_attempt_at"]) == ("failed", None)
        assert logged["error"] == {"code": "refused", "message": "its receiver answered 500"}


def test_who_answers_gone_is_not_called_again(alice: Person, backend: Person, thread: str, courier: Courier) -> None:
    with receiving([410]) as receiver, hooked(backend, receiver) as hook:
        say(alice, thread)
        stack.wait_until(lambda: not backend.get(f"/v1/webhooks/{hook['id']}").json()["enabled"])
        assert "410" in backend.get(f"/v1/webhooks/{hook['id']}").json()["disabled_reason"]
        say(alice, thread)
        path = f"/v1/webhooks/{hook['id']}/deliveries"
        (logged,) = backend.get(path).json()["items"]
        assert code_of(backend.post(f"{path}/{logged['id']}/replay")) == "webhook_disabled"
        receiver.statuses[:] = [200]
        assert backend.patch(f"/v1/webhooks/{hook['id']}", json={"enabled": True}).json()["disabled_reason"] is None
        say(alice, thread)
        stack.wait_until(lambda: len(receiver.calls) == 2)


def test_a_delivery_is_replayed_with_what_the_message_is_now(
    alice: Person, backend: Person, thread: str, courier: Courier
) -> None:
    with receiving() as receiver, hooked(backend, receiver, events=["message.created"]) as hook:
        said = say(alice, thread)
        logged = wait_for_attempt(backend, hook, 1)
        replay = f"/v1/webhooks/{hook['id']}/deliveries/{logged['id']}/replay"
        assert backend.post(replay).status_code == 202
        stack.wait_until(lambda: len(receiver.calls) == 2)
        assert receiver.calls[0][0]["webhook-id"] == receiver.calls[1][0]["webhook-id"]
        alice.delete(f"/v1/messages/{said}")
        stack.wait_until(lambda: wait_for_attempt(backend, hook, 1)["state"] == "delivered")
        backend.post(replay)
        stack.wait_until(lambda: wait_for_attempt(backend, hook, 1)["state"] == "skipped")
        assert len(receiver.calls) == 2


def test_a_replay_asked_for_while_it_is_sent_is_sent_and_counts(
    alice: Person, backend: Person, thread: str, courier: Courier
) -> None:
    """What the earlier attempt came to says nothing of the later one."""
    with receiving([200, 500]) as receiver, hooked(backend, receiver, events=["message.created"]) as hook:
        path = f"/v1/webhooks/{hook['id']}/deliveries"

        def replay_meanwhile() -> None:
            receiver.before = lambda: None
            (sending,) = backend.get(path).json()["items"]
            assert backend.post(f"{path}/{sending['id']}/replay").status_code == 202
            stack.wait_until(lambda: len(receiver.calls) == 2)

        receiver.before = replay_meanwhile
        say(alice, thread)
        stack.wait_until(lambda: len(receiver.calls) == 2)
        # Both attempts have been written down.
        courier.close()
        (logged,) = backend.get(path).json()["items"]
    assert (logged["state"], logged["attempts"], logged["response_status"]) == ("pending", 1, 500)


def test_many_events_that_nobody_asked_for_hold_none_back(
    server: Server, alice: Person, backend: Person, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_STRIDE", 2)
    with receiving() as receiver, hooked(backend, receiver, events=["message.deleted"]) as hook:
        said = [say(alice, thread) for _ in range(5)]
        alice.delete(f"/v1/messages/{said[-1]}")
        with server.services.database.transaction() as connection:
            last = events.arrange(connection).last
            while webhooks.fan_out(connection, last):
                pass
        (logged,) = backend.get(f"/v1/webhooks/{hook['id']}/deliveries").json()["items"]
        assert (logged["type"], logged["message_id"]) == ("message.deleted", said[-1])


def test_what_we_can_not_make_is_tried_by_the_schedule_too(
    server: Server, alice: Person, backend: Person, thread: str, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.courier.told", lambda *_: [{"unspeakable": object()}])
    with receiving() as receiver, hooked(backend, receiver) as hook:
        say(alice, thread)
        logged = wait_for_attempt(backend, hook, 1)
    assert (logged["state"], logged["error"]["code"]) == ("pending", "internal_error")
    assert receiver.calls == []


def test_who_asks_to_be_left_alone_is(alice: Person, backend: Person, thread: str, courier: Courier) -> None:
    with (
        receiving([503], headers={"Retry-After": "86400000"}) as receiver,
        hooked(backend, receiver) as hook,
    ):
        say(alice, thread)
        logged = wait_for_attempt(backend, hook, 1)
    waits = datetime.fromisoformat(logged["next_attempt_at"]) - datetime.fromisoformat(logged["updated_at"])
    assert timedelta(hours=23) < waits <= timedelta(hours=24)


def test_a_secret_is_renewed_once_with_a_key(backend: Person) -> None:
    with receiving() as receiver, hooked(backend, receiver) as hook:
        path, key = f"/v1/webhooks/{hook['id']}/secrets", {"Idempotency-Key": "renew"}
        first, again = backend.post(path, headers=key), backend.post(path, headers=key)
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["Idempotency-Replayed"] == "true"
        assert backend.post(path).json()["secret"] != first.json()["secret"] != hook["secret"]


def test_a_dead_receiver_holds_up_nobody(alice: Person, backend: Person, thread: str, courier: Courier) -> None:
    with receiving() as gone:
        pass
    with receiving() as receiver, hooked(backend, gone) as dead, hooked(backend, receiver):
        say(alice, thread)
        stack.wait_until(lambda: len(receiver.calls) == 1)
        assert wait_for_attempt(backend, dead, 1)["error"]["code"] == "unreachable"


def test_webhooks_are_listed_changed_and_deleted(backend: Person) -> None:
    with receiving() as receiver, hooked(backend, receiver) as first, hooked(backend, receiver) as second:
        page = backend.get("/v1/webhooks", params={"limit": 1}).json()
        assert [hook["id"] for hook in page["items"]] == [second["id"]]
        rest = backend.get("/v1/webhooks", params={"cursor": page["next_cursor"]}).json()
        assert first["id"] in [hook["id"] for hook in rest["items"]]
        assert "secret" not in page["items"][0]
        changed = backend.patch(f"/v1/webhooks/{first['id']}", json={"events": ["voice.ready"]}).json()
        assert (changed["events"], changed["url"]) == (["voice.ready"], first["url"])
        assert backend.delete(f"/v1/webhooks/{first['id']}").status_code == 204
        assert code_of(backend.get(f"/v1/webhooks/{first['id']}")) == "not_found"


def test_a_webhook_is_made_once_with_a_key(backend: Person) -> None:
    with receiving() as receiver:
        body = {"url": receiver.url}
        made = [backend.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "hook"}) for _ in range(2)]
    assert made[0].json() == made[1].json()
    assert made[1].headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("path", ["", "/whk_x", "/whk_00000000000000000000000000/deliveries"])
def test_webhooks_are_not_for_users(alice: Person, path: str) -> None:
    assert code_of(alice.get(f"/v1/webhooks{path}")) == "forbidden"
    assert code_of(alice.post("/v1/webhooks", json={"url": "https://example.org/"})) == "forbidden"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://user:password@example.org/",
        "https://example.org:99999/",
        "https:///path",
        "https://exam ple.org/",
        "https://exämple.org/\n",
        "nonsense",
        "",
        "https://example.org/" + "x" * 2000,
    ],
)
def test_private_addresses_and_nonsense_are_refused(backend: Person, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.delenv("EARSHOT_WEBHOOK_ALLOW_LOOPBACK")
    assert code_of(backend.post("/v1/webhooks", json={"url": url})) == "invalid_request"


def say(person: Person, thread: str) -> str:
    answer: httpx.Response = person.post(f"/v1/threads/{thread}/messages", json={"text": "hello"})
    return str(answer.json()["id"])


def wait_for_attempt(backend: Person, hook: dict[str, Any], attempts: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def tried() -> bool:
        found[:] = backend.get(f"/v1/webhooks/{hook['id']}/deliveries").json()["items"]
        return bool(found) and found[-1]["attempts"] >= attempts and _settled(found[-1])

    stack.wait_until(tried, timeout_s=20)
    return found[-1]


def _settled(logged: dict[str, Any]) -> bool:
    return logged["response_status"] is not None or logged["error"] is not None


def make_due(server: Server, hook: dict[str, Any]) -> None:
    """As if the wait for the next attempt were over."""
    with server.services.database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE deliveries SET due_at = now() - :ago, response_status = NULL, error_code = NULL"
                " WHERE webhook_id = :hook AND state = 'pending'"
            ),
            {"ago": timedelta(seconds=1), "hook": hook["id"]},
        )
        connection.execute(text("SELECT pg_notify('earshot_events', '')"))
