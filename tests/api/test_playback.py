import hashlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests import stack
from tests.api.conftest import Person, Server, app_on, code_of, serving
from tests.api.ready import Workers
from transcode import Media


@pytest.fixture(scope="module")
def listener(server: Server) -> Iterator[Person]:
    with server.person("listener") as person:
        yield person


@pytest.fixture(scope="module")
def ready(listener: Person, workers: Workers, recording: bytes) -> str:
    """The id of a message that these tests only read."""
    thread = listener.post("/v1/threads", json={"participants": []}).json()["id"]
    message = str(listener.say(thread, recording)["id"])
    workers.finish(message)
    return message


@pytest.fixture
def rendition(listener: Person, ready: str) -> dict[str, Any]:
    first: dict[str, Any] = listener.get(f"/v1/messages/{ready}").json()["voice"]["renditions"][0]
    return first


@pytest.fixture(scope="module")
def body(listener: Person, ready: str) -> bytes:
    return listener.get(f"/v1/messages/{ready}/audio", follow_redirects=True).content


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client() as client:
        yield client


def test_a_ready_message_names_what_plays_it(
    web: httpx.Client, server: Server, listener: Person, ready: str, media: Media
) -> None:
    voice = listener.get(f"/v1/messages/{ready}").json()["voice"]
    assert voice["state"] == "ready"
    assert voice["duration_ms"] == media.duration_ms
    assert [each["format"] for each in voice["renditions"]] == ["m4a", "opus"]
    for each, kind in zip(voice["renditions"], ("audio/mp4", "audio/ogg"), strict=True):
        assert each["url"].startswith(f"{server.url}/v1/playback/")
        answer = web.get(each["url"])
        assert (answer.status_code, answer.headers["content-type"], each["mime_type"]) == (200, kind, kind)
        assert len(answer.content) == each["size"]
        assert hashlib.sha256(answer.content).hexdigest() == each["sha256"]


def test_the_url_is_stable_within_a_step_and_lives_at_least_its_time(
    web: httpx.Client, listener: Person, ready: str, rendition: dict[str, Any]
) -> None:
    expires = int(parse_qs(urlsplit(rendition["url"]).query)["expires"][0])
    assert expires % 300 == 0
    assert expires >= time.time() + 890
    again = listener.get(f"/v1/messages/{ready}").json()["voice"]["renditions"][0]["url"]
    assert again == rendition["url"] or urlsplit(again).path == urlsplit(rendition["url"]).path
    cached = web.get(rendition["url"]).headers["cache-control"]
    age = re.fullmatch(r"private, max-age=(\d+)", cached)
    assert age
    assert 0 < int(age[1]) <= expires - time.time() + 2


@pytest.mark.parametrize(("wanted", "kind"), [(None, "audio/mp4"), ("m4a", "audio/mp4"), ("opus", "audio/ogg")])
def test_audio_redirects_to_a_fresh_url(
    web: httpx.Client, listener: Person, ready: str, wanted: str | None, kind: str
) -> None:
    answer = listener.get(f"/v1/messages/{ready}/audio", params={"format": wanted} if wanted else {})
    assert answer.status_code == 307
    assert web.get(answer.headers["location"]).headers["content-type"] == kind


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-1", slice(0, 2)),
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=10-99999999", slice(10, None)),
        ("bytes=-99999999", slice(0, None)),
    ],
)
def test_a_range_is_answered_exactly(
    web: httpx.Client, rendition: dict[str, Any], body: bytes, header: str, part: slice
) -> None:
    for method in ("GET", "HEAD"):
        answer = web.request(method, rendition["url"], headers={"Range": header})
        assert answer.status_code == 206
        first, last, _ = part.indices(len(body))
        assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(body)}"
        assert answer.headers["content-length"] == str(last - first)
        assert answer.content == (body[part] if method == "GET" else b"")


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "items=0-1", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b"])
def test_what_is_no_single_range_gets_the_whole(
    web: httpx.Client, rendition: dict[str, Any], body: bytes, header: str
) -> None:
    answer = web.get(rendition["url"], headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(web: httpx.Client, rendition: dict[str, Any], header: str) -> None:
    answer = web.get(rendition["url"], headers={"Range": header})
    assert (answer.status_code, code_of(answer)) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{rendition['size']}"


def test_head_tells_what_get_would(web: httpx.Client, rendition: dict[str, Any], body: bytes) -> None:
    get, head = web.get(rendition["url"]), web.head(rendition["url"])
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert head.headers[name] == get.headers[name]
    assert get.headers["content-length"] == str(len(body))


def test_conditions_are_honoured(web: httpx.Client, rendition: dict[str, Any]) -> None:
    url, etag = rendition["url"], web.head(rendition["url"]).headers["etag"]
    for condition in (etag, f'"other", W/{etag}', "*"):
        unchanged = web.get(url, headers={"If-None-Match": condition})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert web.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert web.get(url, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    assert web.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    assert web.get(url, headers={"Range": "bytes=0-1", "If-Range": f"W/{etag}"}).status_code == 200


def test_a_changed_url_plays_nothing(web: httpx.Client, rendition: dict[str, Any], ready: str) -> None:
    url = rendition["url"]
    expires = parse_qs(urlsplit(url).query)["expires"][0]
    for changed in (
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace(expires, str(int(expires) + 300)),
        url.replace(expires, "never"),
        url.replace("m4a.m4a", "opus.ogg"),
        url.replace("m4a.m4a", "m4a.ogg"),
        url.replace("signature=", "signature=%C3%A9"),
    ):
        answer = web.get(changed)
        assert (answer.status_code, code_of(answer)) == (403, "forbidden"), changed
    nobody = web.get(re.sub(r"msg_\w+", "msg_nobody", url))
    assert code_of(nobody) == "not_found"


def test_an_expired_url_plays_nothing(
    web: httpx.Client, server: Server, rendition: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expires = int(parse_qs(urlsplit(rendition["url"]).query)["expires"][0])
    monkeypatch.setattr("api.stream.time.time", lambda: expires + 0.5)
    answer = web.get(rendition["url"])
    assert (answer.status_code, code_of(answer)) == (410, "url_expired")


def test_the_waveform_is_audiowaveforms_json(listener: Person, ready: str, media: Media) -> None:
    whole = listener.get(f"/v1/messages/{ready}/waveform").json()
    assert (whole["version"], whole["channels"], whole["bits"], whole["length"]) == (2, 1, 16, 1000)
    assert len(whole["data"]) == 2000
    few = listener.get(f"/v1/messages/{ready}/waveform", params={"points": 7}).json()
    assert few["length"] == 7
    assert min(few["data"]) == min(whole["data"])
    assert max(few["data"]) == max(whole["data"])
    for each in (whole, few):
        spans_ms = each["length"] * each["samples_per_pixel"] * 1000 / each["sample_rate"]
        assert spans_ms == pytest.approx(media.duration_ms, abs=15)
    for points in (0, 1001, -1, "many"):
        assert code_of(listener.get(f"/v1/messages/{ready}/waveform", params={"points": points})) == "invalid_request"


def test_presigned_urls_lead_straight_to_the_object_store(
    web: httpx.Client, s3: stack.S3, fresh_database: Callable[[], str], recording: bytes, media: Media
) -> None:
    url = fresh_database()
    with (
        serving(lambda public, rings: app_on(s3, url, public, rings, playback="presigned")) as server,
        server.person("alice") as alice,
    ):
        thread = alice.post("/v1/threads", json={"participants": []}).json()["id"]
        message = alice.say(thread, recording)["id"]
        Workers(server.services, media).finish(message)
        for each in alice.get(f"/v1/messages/{message}").json()["voice"]["renditions"]:
            assert each["url"].startswith(s3.endpoint_url)
            answer = web.get(each["url"])
            assert hashlib.sha256(answer.content).hexdigest() == each["sha256"]
            assert answer.headers["content-type"] == each["mime_type"]
            assert web.get(each["url"] + "0").status_code == 403
        policy = alice.get("/").headers["content-security-policy"]
        assert f"media-src 'self' {s3.endpoint_url} blob:; connect-src 'self' {s3.endpoint_url};" in policy
        assert "/v1/playback/{message_id}/{name}" not in alice.get("/openapi.json").json()["paths"]
