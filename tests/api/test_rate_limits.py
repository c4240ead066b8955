"""What one user may send, on every way that recordings come in."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests import stack
from tests.api.conftest import Person, Server, app_on, code_of, serving
from tests.tus_conformance.target import Target, recording

LIMITS = {"open_uploads": 2, "hourly_messages": 4, "hourly_bytes": 500_000}


@pytest.fixture(scope="module")
def strict_server(s3: stack.S3, fresh_database: Callable[[], str]) -> Iterator[Server]:
    changes = {**LIMITS, "rate_limits": True, "playback": "presigned"}
    with serving(lambda url, rings: app_on(s3, fresh_database(), url, rings, **changes)) as running:
        yield running


@pytest.fixture
def dora(strict_server: Server) -> Iterator[Person]:
    with strict_server.person("dora") as person:
        yield person


@pytest.fixture
def thread(dora: Person) -> str:
    return str(dora.post("/v1/threads", json={"participants": []}).json()["id"])


def test_limits_are_told_first(dora: Person) -> None:
    assert dora.get("/v1/limits").json()["rate_limits"] == {
        "open_uploads": 2,
        "messages_per_hour": 4,
        "bytes_per_hour": 500_000,
    }


def test_messages_in_an_hour_are_counted_over_all_ways_in(strict_server: Server, dora: Person, thread: str) -> None:
    body, tus = recording(1000), _tus(strict_server, dora, thread)
    dora.say(thread, body)
    dora.say(thread, body)
    assert tus.patch(tus.created(1000), 0, body).status == 204
    assert dora.post(f"/v1/threads/{thread}/voice-messages/direct", json=_announced(1000)).status_code == 201
    _refused(dora.post(f"/v1/threads/{thread}/voice-messages", content=body))
    _refused(dora.post(f"/v1/threads/{thread}/voice-messages/direct", json=_announced(1000)))
    refused = tus.create(1000)
    assert (refused.status, int(refused.headers["retry-after"]) > 0) == (429, True)


def test_bytes_in_an_hour_are_counted(dora: Person, thread: str) -> None:
    dora.say(thread, recording(300_000))
    _refused(dora.post(f"/v1/threads/{thread}/voice-messages", content=recording(300_000)))
    dora.say(thread, recording(200_000))


def test_a_body_of_unknown_length_is_counted_when_it_is_there(dora: Person, thread: str) -> None:
    path = f"/v1/threads/{thread}/voice-messages"
    assert dora.post(path, content=iter([recording(300_000)])).status_code == 201
    _refused(dora.post(path, content=iter([recording(300_000)])))
    assert len(dora.get(f"/v1/threads/{thread}/messages").json()["items"]) == 1


def test_open_uploads_are_counted_until_they_end(strict_server: Server, dora: Person, thread: str) -> None:
    tus = _tus(strict_server, dora, thread)
    first, second = tus.created(1000), tus.created(1000)
    assert tus.create(1000).status == 429
    assert tus.request("DELETE", first).status == 204
    third = tus.created(1000)
    for url in (second, third):
        assert tus.patch(url, 0, recording(1000)).status == 204


def test_a_replay_costs_nothing(dora: Person, thread: str) -> None:
    path, key = f"/v1/threads/{thread}/voice-messages", {"Idempotency-Key": "one"}
    for _ in range(6):
        assert dora.post(path, content=recording(1000), headers=key).status_code == 201


def _tus(server: Server, person: Person, thread: str) -> Target:
    headers = {"Authorization": person.headers["authorization"]}
    return Target(f"{server.url}/v1/uploads", headers, {"thread_id": thread})


def _announced(size: int) -> dict[str, object]:
    return {"size": size, "content_type": "audio/wav"}


def _refused(answer: httpx.Response) -> None:
    assert (answer.status_code, code_of(answer)) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 3600
