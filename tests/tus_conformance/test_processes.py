"""Several API processes and one upload, and processes that die."""

import secrets
import threading
import time

from sqlalchemy import func, select

from storage.database import Database
from storage.tables import messages, upload_chunks, uploads
from tests import stack
from tests.tus_conformance import own
from tests.tus_conformance.target import CHUNK, Target, recording

SIZE = 900_000


def test_each_piece_may_go_through_another_process(target: Target, neighbour: Target) -> None:
    body, url = recording(SIZE), target.created(SIZE)
    for number, start in enumerate(range(0, SIZE, 100_000)):
        through = (target, neighbour)[number % 2]
        answer = through.patch(_at(through, url), start, body[start : start + 100_000])
        assert answer.status == 204
    assert target.stored is not None
    assert target.stored(answer.message_id or "") == body


def test_a_patch_in_one_process_lets_go_for_a_head_and_a_patch_in_another(target: Target, neighbour: Target) -> None:
    body, url = recording(SIZE), target.created(SIZE)
    there = _at(neighbour, url)
    with target.begun_patch(url, 0, SIZE, body[:200_000]):
        time.sleep(0.3)
        assert neighbour.offset(there) == 200_000
    with target.begun_patch(url, 200_000, SIZE - 200_000, body[200_000:300_000]):
        time.sleep(0.3)
        answer = neighbour.patch(there, 300_000, body[300_000:])
        assert answer.status == 204
    assert target.stored is not None
    assert target.stored(answer.message_id or "") == body


def test_two_processes_never_both_take_the_same_offset(target: Target, neighbour: Target) -> None:
    body, url = recording(SIZE), target.created(SIZE)
    offset, step = 0, 150_000
    while offset < SIZE:
        statuses = _race([target, neighbour] * 3, url, offset, body[offset : offset + step])
        assert statuses.count(204) <= 1
        assert set(statuses) <= {204, 409}
        offset = target.offset(url)
    assert target.stored is not None
    assert target.stored(target.head(url).message_id or "") == body


def test_a_process_that_is_killed_within_a_patch_leaves_an_upload_to_go_on_with(
    target: Target, neighbour: Target, apis: list[own.Api], tus_database: Database
) -> None:
    body, url = recording(3_000_000), target.created(3_000_000)
    there = _at(neighbour, url)
    with target.begun_patch(url, 0, len(body), body[:2_500_000]):
        stack.wait_until(lambda: _received(tus_database, url) > 0, timeout_s=10)
        apis[0].kill()
    offset = neighbour.offset(there)
    assert 0 < offset <= 2_500_000
    answer = neighbour.patch(there, offset, body[offset:])
    apis[0].start()
    stack.wait_until(apis[0].ready)
    assert answer.status == 204
    assert target.stored is not None
    assert target.stored(answer.message_id or "") == body
    assert target.head(url).message_id == answer.message_id


def test_a_process_that_is_killed_before_the_message_is_made_leaves_it_to_another(
    target: Target, neighbour: Target, tus_database: Database
) -> None:
    """As the tables are when the process dies between the last byte and the message."""
    body = recording(1000)
    url = target.created(1000)
    upload_id = url.rsplit("/", 1)[-1]
    with tus_database.transaction() as connection:
        connection.execute(upload_chunks.insert().values(upload_id=upload_id, start=0, data=body))
        full = uploads.update().where(uploads.c.id == upload_id).values(received=1000, holder=upload_id)
        connection.execute(full)
    heads = [neighbour.head(_at(neighbour, url)), target.head(url)]
    assert heads[0].message_id == heads[1].message_id
    assert target.stored is not None
    assert target.stored(heads[0].message_id or "") == body
    with tus_database.transaction() as connection:
        left = select(func.count()).where(upload_chunks.c.upload_id == upload_id)
        assert connection.execute(left).scalar_one() == 0


def test_one_creation_at_two_processes_is_one_message(
    target: Target, neighbour: Target, tus_database: Database
) -> None:
    body, key = recording(SIZE), {"Idempotency-Key": secrets.token_hex(8)}
    before = _messages(tus_database)
    answers = [each.create(SIZE, body, {**CHUNK, **key}) for each in (target, neighbour, target)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.message_id for answer in answers}) == 1
    assert _messages(tus_database) == before + 1


def _at(target: Target, url: str) -> str:
    return f"{target.endpoint}/{url.rsplit('/', 1)[-1]}"


def _race(targets: list[Target], url: str, offset: int, body: bytes) -> list[int]:
    statuses: list[int] = []
    begin = threading.Barrier(len(targets))

    def write(target: Target) -> None:
        begin.wait()
        statuses.append(target.patch(_at(target, url), offset, body).status)

    threads = [threading.Thread(target=write, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _messages(database: Database) -> int:
    with database.transaction() as connection:
        return connection.execute(select(func.count()).select_from(messages)).scalar_one()


def _received(database: Database, url: str) -> int:
    """Read from the tables: asking the API would make the writer let go."""
    with database.transaction() as connection:
        query = select(uploads.c.received).where(uploads.c.id == url.rsplit("/", 1)[-1])
        return connection.execute(query).scalar_one()
