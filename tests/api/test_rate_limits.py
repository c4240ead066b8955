"""What one user may send, on every way that recordings come in."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from storage import usage
from tests import stack
from tests.api.conftest import Person, Server, app_on, code_of, serving
from tests.tus_conformance.target import Target, recording

LIMITS = {"open_uploads": 2, "hourly_messages": 4, "hourly_bytes": 500_000}


CHANGES = {**LIMITS, "rate_limits": True, "playback": "presigned", "max_duration_s": 90}


@pytest.fixture(scope="module")
def limited_url(fresh_database: Callable[[], str]) -> str:
    return fresh_database()


@pytest.fixture(scope="module")
def strict_server(s3: stack.S3, limited_url: str) -> Iterator[Server]:
    with serving(lambda url, rings: app_on(s3, limited_url, url, rings, **CHANGES)) as running:
        yield running


@pytest.fixture(scope="module")
def its_twin(s3: stack.S3, limited_url: str) -> Iterator[Server]:
    """Another API on the same database."""
    with serving(lambda url, rings: app_on(s3, limited_url, url, rings, **CHANGES)) as running:
        yield running


@pytest.fixture
def dora(strict_server: Server) -> Iterator[Person]:
    with strict_server.person("dora") as person:
        yield person


@pytest.fixture
def thread(dora: Person) -> str:
    return str(dora.post("/v1/threads", json={"participants": []}).json()["id"])


@pytest.fixture
def thread_of_alice(alice: Person) -> str:
    return str(alice.post("/v1/threads", json={"participants": []}).json()["id"])


def test_limits_are_told_first(strict_server: Server, dora: Person, thread: str) -> None:
    told = dora.get("/v1/limits").json()
    assert told["rate_limits"] == {"open_uploads": 2, "messages_per_hour": 4, "bytes_per_hour": 500_000}
    assert told["max_duration_ms"] == 90_000
    options = _tus(strict_server, dora, thread).request("OPTIONS")
    assert int(options.headers["tus-max-size"]) == told["max_bytes"] == 1_000_000


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


@pytest.mark.parametrize("way", ["tus", "direct"])
def test_open_uploads_are_counted_however_many_begin_at_once(
    strict_server: Server, its_twin: Server, dora: Person, thread: str, way: str
) -> None:
    def begin(number: int) -> int:
        server = (strict_server, its_twin)[number % 2]
        if way == "tus":
            return _tus(server, dora, thread).create(1000).status
        url = f"{server.url}/v1/threads/{thread}/voice-messages/direct"
        return httpx.post(url, json=_announced(1000), headers=dora.headers).status_code

    assert _at_once(begin).count(201) == LIMITS["open_uploads"]


@pytest.mark.parametrize(("size", "most"), [(1000, LIMITS["hourly_messages"]), (200_000, 2)])
def test_messages_and_bytes_are_counted_however_many_come_at_once(
    strict_server: Server, its_twin: Server, dora: Person, thread: str, size: int, most: int
) -> None:
    body = recording(size)

    def send(number: int) -> int:
        server = (strict_server, its_twin)[number % 2]
        url = f"{server.url}/v1/threads/{thread}/voice-messages"
        return httpx.post(url, content=body, headers=dora.headers).status_code

    assert _at_once(send).count(201) == most
    assert len(dora.get(f"/v1/threads/{thread}/messages").json()["items"]) == most


@pytest.mark.parametrize("round_", range(3))
def test_all_ways_in_at_once_hinder_none_of_them(
    server: Server, alice: Person, thread_of_alice: str, round_: int
) -> None:
    """Each locks what the person used and the thread: in one order, or they would wait for one another."""
    path = f"{server.url}/v1/threads/{thread_of_alice}/voice-messages"

    def send(number: int) -> int:
        if number % 4 == 3:
            tus = _tus(server, alice, thread_of_alice)
            return tus.patch(tus.created(1000), 0, recording(1000)).status
        key = {"Idempotency-Key": f"{round_}-{number}"} if number % 4 == 1 else {}
        body = recording(300_000 if number % 4 == 2 else 1000)
        return httpx.post(path, content=body, headers={**alice.headers, **key}, timeout=30).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(send, range(48)))
    assert sorted(statuses) == [201] * 36 + [204] * 12
    with server.services.database.reading() as connection:
        used = usage.current(connection, alice.name)
    assert (used.messages, used.bytes) == (48, 36 * 1000 + 12 * 300_000)


def test_a_refused_beginning_costs_nothing(strict_server: Server, dora: Person, thread: str) -> None:
    tus = _tus(strict_server, dora, thread)
    open_ones = [tus.created(1000), tus.created(1000)]
    assert [tus.create(1000).status for _ in range(5)] == [429] * 5
    for url in open_ones:
        assert tus.patch(url, 0, recording(1000)).status == 204
    assert tus.patch(tus.created(1000), 0, recording(1000)).status == 204


def test_a_replay_costs_nothing(dora: Person, thread: str) -> None:
    path, key = f"/v1/threads/{thread}/voice-messages", {"Idempotency-Key": "one"}
    for _ in range(6):
        assert dora.post(path, content=recording(1000), headers=key).status_code == 201


def _tus(server: Server, person: Person, thread: str) -> Target:
    headers = {"Authorization": person.headers["authorization"]}
    return Target(f"{server.url}/v1/uploads", headers, {"thread_id": thread})


def _at_once(call: Callable[[int], int]) -> list[int]:
    """The statuses of twelve calls; others than those that came first are told to wait."""
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(call, range(12)))
    assert set(statuses) == {201, 429}
    return statuses


def _announced(size: int) -> dict[str, object]:
    return {"size": size, "content_type": "audio/wav"}


def _refused(answer: httpx.Response) -> None:
    assert (answer.status_code, code_of(answer)) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 3600
