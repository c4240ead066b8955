"""A page of another origin sees of an upload all that the protocol tells: what is not exposed a browser hides."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests import stack
from tests.api.conftest import Person, Server, app_on, serving
from tests.tus_conformance.target import CHUNK, Answer, Target, recording

OURS, THEIRS = "https://app.example", "https://evil.example"
# Names that a browser shows without being told (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name),
# and those that say nothing to a client.
ALWAYS_SEEN = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"}
NOT_FOR_CLIENTS = {"date", "server", "vary", "x-content-type-options", "referrer-policy", "transfer-encoding"}


@pytest.fixture(scope="module")
def open_server(s3: stack.S3, fresh_database: Callable[[], str]) -> Iterator[Server]:
    with serving(lambda url, rings: app_on(s3, fresh_database(), url, rings, cors_origins=[OURS])) as running:
        yield running


@pytest.fixture
def page(open_server: Server) -> Iterator[Target]:
    """The uploads of a page on our origin."""
    with open_server.person("alice") as alice:
        thread = alice.post("/v1/threads", json={"participants": []}).json()["id"]
        headers = {"Authorization": alice.headers["authorization"], "Origin": OURS}
        yield Target(f"{open_server.url}/v1/uploads", headers, {"thread_id": thread})


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_a_browser_is_let_send_every_request_of_the_protocol(page: Target, method: str) -> None:
    names = "authorization,content-type,earshot-user,idempotency-key,tus-resumable,upload-checksum,upload-length"
    names += ",upload-metadata,upload-offset,x-http-method-override,x-request-id"
    asked = {
        "Authorization": None,
        "Tus-Resumable": None,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": names,
    }
    allowed = page.request("OPTIONS", f"{page.endpoint}/upl_x", headers=asked)
    assert allowed.status in (200, 204)
    assert allowed.headers["access-control-allow-origin"] == OURS
    assert method in _listed(allowed, "access-control-allow-methods", str.upper)
    assert set(names.split(",")) <= _listed(allowed, "access-control-allow-headers")
    refused = page.request("OPTIONS", headers={**asked, "Origin": THEIRS})
    assert "access-control-allow-origin" not in refused.headers


def test_a_browser_sees_every_header_of_every_answer(page: Target) -> None:
    body, key = recording(1000), {"Idempotency-Key": secrets.token_hex(8)}
    created = page.create(1000, headers=key)
    url = page.located(created)
    wrong = {"Upload-Checksum": "sha1 " + base64.b64encode(hashlib.sha1(b"other").digest()).decode()}
    answers = [
        page.request("OPTIONS"),
        created,
        page.create(1000, headers=key),
        page.create(10**12),
        page.head(url),
        page.patch(url, 5, body),
        page.patch(url, 0, body, wrong),
        page.patch(url, 0, body, {"Authorization": None}),
        page.patch(url, 0, body, {"Tus-Resumable": "0.2.2"}),
        page.patch(url, 0, body),
        page.head(url),
        page.request("DELETE", url),
        page.head(url),
    ]
    statuses = [201, 201, 413, 200, 409, 460, 401, 412, 204, 200, 204, 404]
    assert [answer.status for answer in answers[1:]] == statuses
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == OURS
        exposed = _listed(answer, "access-control-expose-headers")
        told = {name for name in answer.headers if not name.startswith("access-control-")}
        assert told - exposed <= ALWAYS_SEEN | NOT_FOR_CLIENTS
    assert {
        "location",
        "upload-offset",
        "upload-length",
        "upload-expires",
        "earshot-message-id",
        "retry-after",
    } <= exposed


def test_a_page_of_a_stranger_is_told_nothing(page: Target) -> None:
    answer = page.create(1000, recording(1000), {**CHUNK, "Origin": THEIRS})
    assert "access-control-allow-origin" not in answer.headers


def test_where_no_origin_is_named_no_page_may_look(server: Server, alice: Person, thread: str) -> None:
    headers = {"Authorization": alice.headers["authorization"], "Origin": OURS}
    answer = Target(f"{server.url}/v1/uploads", headers, {"thread_id": thread}).create(1000)
    assert answer.status == 201
    assert "access-control-allow-origin" not in answer.headers


def _listed(answer: Answer, header: str, case: Callable[[str], str] = str.lower) -> set[str]:
    return {case(name.strip()) for name in answer.headers[header].split(",")}
