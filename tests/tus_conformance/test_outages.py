"""What an upload needs goes away within a PATCH: what HEAD tells afterwards is durable, and it goes on there."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import pytest
from sqlalchemy import make_url, select, text

from storage.database import Database
from storage.objects import ObjectStore
from storage.tables import messages, upload_chunks, uploads
from tests import stack
from tests.faults.proxy import Proxy
from tests.tus_conformance import own
from tests.tus_conformance.target import CHUNK, Answer, Target, answer_on, recording

SIZE = 4_000_000
# More than a process keeps in memory of one upload, so that a part of it is durable and a part is not.
SENT = 3_000_000


@dataclass
class Scene:
    """Two APIs that reach Postgres and S3 through proxies; `database` and `store` reach them past those."""

    apis: list[own.Api]
    postgres: Proxy
    s3: Proxy
    database: Database
    store: ObjectStore

    def mend(self) -> None:
        self.postgres.mend()
        self.s3.mend()
        for api in self.apis:
            if api.process is None:
                api.start()
            stack.wait_until(api.ready)


@pytest.fixture(scope="module")
def whole_scene(s3: stack.S3, fresh_database: Callable[[], str]) -> Iterator[Scene]:
    url = make_url(fresh_database())
    postgres, store = Proxy(url.port or 0), Proxy(urlsplit(s3.endpoint_url).port or 0)
    database = Database(url.render_as_string(hide_password=False))
    behind = url.set(port=postgres.port).render_as_string(hide_password=False)
    there = replace(s3, endpoint_url=f"http://127.0.0.1:{store.port}")
    with own.running(there, behind) as apis:
        bucket = apis[0].environment["EARSHOT_S3_BUCKET"]
        yield Scene(apis, postgres, store, database, ObjectStore(stack.storage_settings(s3, bucket)))
        postgres.mend()
        store.mend()
    for proxy in (postgres, store):
        proxy.close()
    database.close()


@pytest.fixture
def scene(whole_scene: Scene) -> Iterator[Scene]:
    yield whole_scene
    whole_scene.mend()


@pytest.fixture
def target(scene: Scene) -> Target:
    endpoint = urljoin(scene.apis[0].url, "/v1/uploads")
    headers = {"Authorization": f"Bearer {own.token(secrets.token_hex(4))}"}
    with_thread = Target(urljoin(endpoint, "/v1/threads"), headers)
    created = with_thread.request("POST", body=b'{"participants": []}', headers={"Content-Type": "application/json"})
    thread = created.headers["location"].rsplit("/", 1)[-1]
    return Target(endpoint, headers, {"thread_id": thread}, idle_s=own.IDLE_S)


@pytest.fixture
def neighbour(scene: Scene, target: Target) -> Target:
    return replace(target, endpoint=urljoin(scene.apis[1].url, "/v1/uploads"))


def test_a_database_that_goes_away_within_a_patch(scene: Scene, target: Target) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    with target.begun_patch(url, 0, SIZE, body[:SENT]) as connection:
        _wait_for_some(scene, url)
        scene.postgres.refuse()
        connection.sendall(body[SENT:])
        _is_clear(answer_on(connection), 503)
    _is_clear(target.head(url), 503)
    scene.mend()
    _goes_on_where_head_says(scene, target, url, body)


def test_a_database_that_falls_silent_within_a_patch(scene: Scene, target: Target) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    with target.begun_patch(url, 0, SIZE, body[:SENT]) as connection:
        _wait_for_some(scene, url)
        scene.postgres.stall()
        connection.sendall(body[SENT : SENT + 200_000])
        time.sleep(0.5)
    scene.postgres.reset()
    scene.mend()
    _goes_on_where_head_says(scene, target, url, body)


@pytest.mark.parametrize("lost", ["the piece", "the word that it is durable"])
def test_a_database_that_is_lost_while_it_takes_a_piece(scene: Scene, target: Target, lost: str) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    windows = _windows(body[2_200_000:2_400_000])
    trap = scene.postgres.trap(*windows, reply=lost != "the piece")
    with target.begun_patch(url, 0, SIZE, body[:SENT]) as connection:
        assert trap.caught.wait(15)
        scene.postgres.refuse()
        connection.sendall(body[SENT:])
        _is_clear(answer_on(connection), 503)
    scene.mend()
    _goes_on_where_head_says(scene, target, url, body)


@pytest.mark.parametrize("lost", ["the commit", "the word that it is durable"])
def test_a_database_that_is_lost_while_it_commits_what_was_checked(scene: Scene, target: Target, lost: str) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    checksum = base64.b64encode(hashlib.sha1(body[:SENT], usedforsecurity=False).digest()).decode()
    headers = {"Upload-Offset": "0", "Content-Length": str(SENT), "Upload-Checksum": f"sha1 {checksum}"}
    trap = scene.postgres.trap(b"COMMIT", reply=lost != "the commit")
    with target.begun("PATCH", url, {**CHUNK, **headers}, body[:SENT]) as connection:
        assert trap.caught.wait(15)
        scene.postgres.refuse()
        _is_clear(answer_on(connection), 503)
    scene.mend()
    assert target.head(url).offset in ([0] if lost == "the commit" else [0, SENT])
    _goes_on_where_head_says(scene, target, url, body)


def test_a_disk_of_the_database_that_is_full_within_a_patch(scene: Scene, target: Target) -> None:
    """Postgres says what it says when it can't make a table's file longer."""
    url, body = target.created(SIZE), recording(SIZE)
    with target.begun_patch(url, 0, SIZE, body[:SENT]) as connection:
        _wait_for_some(scene, url)
        with _full(scene.database):
            connection.sendall(body[SENT:])
            _is_clear(answer_on(connection), 507)
            offset = target.offset(url)
            assert 0 < offset < SIZE
            _is_clear(target.patch(url, offset, body[offset:]), 507)
            assert target.offset(url) == offset
    _goes_on_where_head_says(scene, target, url, body)


def test_a_store_that_goes_away_before_the_last_byte(scene: Scene, target: Target) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    with target.begun_patch(url, 0, SIZE, body[:SENT]) as connection:
        _wait_for_some(scene, url)
        scene.s3.refuse()
        connection.sendall(body[SENT:])
        _is_clear(answer_on(connection), 503)
    _is_clear(target.head(url), 503)
    assert _state(scene, url) == ("open", SIZE)
    scene.mend()
    _goes_on_where_head_says(scene, target, url, body)


def test_a_store_whose_answer_is_lost(scene: Scene, target: Target) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    trap = scene.s3.trap(b"PUT /", reply=True)
    with target.begun_patch(url, 0, SIZE, body) as connection:
        assert trap.caught.wait(15)
        scene.s3.refuse()
        answer_on(connection)
    scene.mend()
    _goes_on_where_head_says(scene, target, url, body)


def test_a_process_that_is_killed_while_it_stores_the_recording(
    scene: Scene, target: Target, neighbour: Target
) -> None:
    url, body = target.created(SIZE), recording(SIZE)
    trap = scene.s3.trap(b"PUT /")
    with target.begun_patch(url, 0, SIZE, body):
        assert trap.caught.wait(15)
        scene.apis[0].kill()
    scene.s3.mend()
    _goes_on_where_head_says(scene, neighbour, _at(neighbour, url), body)


def test_a_creation_whose_process_was_killed_is_found_again(scene: Scene, target: Target, neighbour: Target) -> None:
    body, key = recording(SIZE), {"Idempotency-Key": secrets.token_hex(8)}
    told = {"Upload-Metadata": target.encoded_metadata(), "Upload-Length": str(SIZE), "Content-Length": str(SIZE)}
    with target.begun("POST", target.endpoint, {**CHUNK, **key, **told}, body[:SENT]):
        stack.wait_until(lambda: bool(_begun(scene, target)), timeout_s=15)
        scene.apis[0].kill()
    again = neighbour.create(SIZE, body, {**CHUNK, **key})
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    assert 0 < again.offset <= SENT
    assert _begun(scene, target) == [again.headers["location"].rsplit("/", 1)[-1]]
    _goes_on_where_head_says(scene, neighbour, neighbour.located(again), body)


def _goes_on_where_head_says(scene: Scene, target: Target, url: str, body: bytes) -> None:
    """No byte is promised that is not in the tables, none there is another than was sent; it ends as one message."""
    head = target.head(url)
    assert head.status == 200
    if head.message_id is None:
        assert _state(scene, url) == ("open", head.offset)
        assert _chunks(scene, url) == body[: head.offset]
        head = target.patch(url, head.offset, body[head.offset :])
        assert head.status == 204
    assert (head.offset, target.head(url).message_id) == (SIZE, head.message_id)
    assert _messages(scene, target) == [head.message_id]
    key = f"messages/{head.message_id}/original/"
    (stored,) = scene.store.list(key)
    with scene.store.get(stored.key) as stream:
        assert stream.read() == body
    assert _chunks(scene, url) == b""


def _is_clear(answer: Answer, status: int) -> None:
    """Says that it is not the sender's fault, and when to try again."""
    assert answer.status == status
    assert int(answer.headers["retry-after"]) > 0
    assert "upload-offset" not in answer.headers


def _windows(body: bytes) -> list[bytes]:
    """Pieces of a body by which it is known on the wire, whether it is sent as it is or in digits."""
    some = [body[start : start + 12] for start in range(0, len(body), 4_000)]
    return [*some, *(window.hex().encode() for window in some)]


@contextmanager
def _full(database: Database) -> Iterator[None]:
    _run(
        database,
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
        "CREATE TRIGGER no_room BEFORE INSERT ON upload_chunks FOR EACH ROW EXECUTE FUNCTION no_room()",
    )
    yield
    _run(database, "DROP FUNCTION no_room() CASCADE")


def _run(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _wait_for_some(scene: Scene, url: str) -> None:
    """Read from the tables: asking the API would make the writer let go."""
    stack.wait_until(lambda: _state(scene, url)[1] > 0, timeout_s=15)


def _state(scene: Scene, url: str) -> tuple[str, int]:
    with scene.database.transaction() as connection:
        query = select(uploads.c.state, uploads.c.received).where(uploads.c.id == url.rsplit("/", 1)[-1])
        return tuple(connection.execute(query).one())


def _begun(scene: Scene, target: Target) -> list[str]:
    """The uploads of the thread of which something is there."""
    with scene.database.transaction() as connection:
        mine = uploads.c.thread_id == target.metadata["thread_id"]
        return list(connection.execute(select(uploads.c.id).where(mine, uploads.c.received > 0)).scalars())


def _chunks(scene: Scene, url: str) -> bytes:
    with scene.database.transaction() as connection:
        mine = upload_chunks.c.upload_id == url.rsplit("/", 1)[-1]
        rows = connection.execute(select(upload_chunks.c.data).where(mine).order_by(upload_chunks.c.start))
        return b"".join(rows.scalars())


def _messages(scene: Scene, target: Target) -> list[str]:
    with scene.database.transaction() as connection:
        query = select(messages.c.id).where(messages.c.thread_id == target.metadata["thread_id"])
        return list(connection.execute(query).scalars())


def _at(target: Target, url: str) -> str:
    return f"{target.endpoint}/{url.rsplit('/', 1)[-1]}"
