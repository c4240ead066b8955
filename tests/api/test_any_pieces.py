"""However an upload is cut into requests, and however each of them sends its bytes, all of it arrives."""

import base64
import hashlib
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from storage.tables import voices
from tests.api.conftest import Person, Server
from tests.tus_conformance.target import CHUNK, VERSION, recording

# Around these a body is kept in memory or on disk, read at once or in pieces, stored in one row or several.
EDGES = (1, 44, 4096, 65_536, 131_072, 262_144, 1_000_000)
sizes = st.one_of(st.integers(1, 400_000), st.sampled_from(EDGES).flatmap(lambda edge: st.integers(edge - 1, edge + 1)))
ways = st.sampled_from(("plain", "checked", "chunked", "chunked and checked"))


@pytest.fixture(scope="module")
def sender(server: Server) -> Iterator[Person]:
    with server.person("sender") as person:
        yield person


@pytest.fixture(scope="module")
def its_thread(sender: Person) -> str:
    return str(sender.post("/v1/threads", json={"participants": []}).json()["id"])


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=st.integers(22, 500_000), pieces=st.lists(st.tuples(sizes, ways), max_size=5), at_once=st.booleans())
def test_an_upload_in_any_pieces_is_whole(
    server: Server, sender: Person, its_thread: str, whole: int, pieces: list[tuple[int, str]], at_once: bool
) -> None:
    body, offset = recording(2 * whole), 0
    first, *others = pieces if pieces and at_once else [(0, "plain"), *pieces]
    created = {
        "Upload-Length": str(len(body)),
        "Upload-Metadata": "thread_id " + base64.b64encode(its_thread.encode()).decode(),
    }
    answer = _sent(sender, "POST", "/v1/uploads", created, body[: first[0]], first[1])
    url, offset = answer.headers["location"], min(first[0], len(body))
    for size, way in [*others, (len(body), "plain")]:
        assert int(answer.headers["upload-offset"]) == offset
        if offset < len(body):
            piece = body[offset : offset + size]
            answer = _sent(sender, "PATCH", url, {"Upload-Offset": str(offset)}, piece, way)
            offset += len(piece)
    assert int(answer.headers["upload-offset"]) == len(body)
    assert _stored(server, answer.headers["earshot-message-id"]) == body


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=sizes, step=sizes, way=st.sampled_from(("plain", "chunked", "form", "chunked form")))
def test_a_message_in_one_request_is_whole(
    server: Server, sender: Person, its_thread: str, size: int, step: int, way: str
) -> None:
    body = recording(2 * max(22, min(size, 1_000_000) // 2))
    headers, content, step = {}, body, max(step, 500)
    if "form" in way:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        headers, content = {"Content-Type": "multipart/form-data; boundary=x"}, head + body + b"\r\n--x--\r\n"
    pieces = (content[start : start + step] for start in range(0, len(content), step))
    path = f"/v1/threads/{its_thread}/voice-messages"
    answer = sender.post(path, content=pieces if "chunked" in way else content, headers=headers)
    assert answer.status_code == 201, answer.text
    assert _stored(server, answer.json()["id"]) == body


def _sent(sender: Person, method: str, url: str, headers: dict[str, str], piece: bytes, way: str) -> httpx.Response:
    told = {"Tus-Resumable": VERSION, **(CHUNK if piece or method == "PATCH" else {}), **headers}
    if "checked" in way:
        told["Upload-Checksum"] = "sha256 " + base64.b64encode(hashlib.sha256(piece).digest()).decode()
    answer = sender.request(method, url, content=iter([piece]) if "chunked" in way else piece, headers=told)
    assert answer.status_code in (201, 204), answer.text
    return answer


def _stored(server: Server, message: str) -> bytes:
    with server.services.database.transaction() as connection:
        key = connection.execute(select(voices.c.original_key).where(voices.c.message_id == message)).scalar_one()
    with server.services.store.get(key) as stream:
        return stream.read()
