"""Section 8: what bad networks do, on bare sockets. Bytes that came are kept, none is promised that is not there."""

import base64
import hashlib
import secrets
import socket
import threading
import time
from contextlib import suppress

from tests.tus_conformance.statement import statement
from tests.tus_conformance.target import CHUNK, Answer, NotApplicable, Target, answer_on, recording, reset

_SIZE = 600_000


@statement("8.1")
def fin_within_a_patch(target: Target) -> None:
    """FIN in the middle of a PATCH keeps all bytes that came before it."""
    url, body = target.created(_SIZE), recording(_SIZE)
    for begin, end in ((0, 0), (0, 1), (1, 1), (1, 30_000), (30_000, 90_000), (90_000, 400_000)):
        target.begun_patch(url, begin, _SIZE - begin, body[begin:end]).close()
        target.offset_becomes(url, end)
    _completed(target, url, body)


@statement("8.2")
def rst_within_a_patch(target: Target) -> None:
    """RST in the middle of a PATCH keeps bytes that came before it; the upload goes on where HEAD says."""
    url, body = target.created(_SIZE), recording(_SIZE)
    connection = target.begun_patch(url, 0, _SIZE, body[:100_000])
    time.sleep(0.3)
    reset(connection)
    target.offset_becomes(url, 100_000)
    _completed(target, url, body)


@statement("8.3")
def head_during_a_patch(target: Target) -> None:
    """HEAD during a PATCH that stalls makes it let go, and tells the bytes that came."""
    url, body = target.created(_SIZE), recording(_SIZE)
    with target.begun_patch(url, 0, _SIZE, body[:70_000]) as stalled:
        time.sleep(0.2)
        assert target.offset(url) == 70_000
        _goes_on(stalled, body[70_000:80_000])
        assert target.offset(url) == 70_000
        _completed(target, url, body)


@statement("8.4")
def patch_during_a_patch(target: Target) -> None:
    """A second PATCH takes an upload over from one that stalls: at the offset after its bytes, at no other."""
    url, body = target.created(_SIZE), recording(_SIZE)
    with target.begun_patch(url, 0, _SIZE, body[:70_000]):
        time.sleep(0.2)
        assert target.patch(url, 0, body[:90_000]).status == 409
    with target.begun_patch(url, 70_000, _SIZE - 70_000, body[70_000:90_000]):
        time.sleep(0.2)
        answer = target.patch(url, 90_000, body[90_000:])
        assert (answer.status, answer.offset) == (204, _SIZE)
    target.keeps(answer, body)


@statement("8.5")
def several_writers_at_once(target: Target) -> None:
    """Of several writers at the same offset one at most is believed; the bytes are those of one recording."""
    body = recording(_SIZE)
    url, offset, step = target.created(_SIZE), 0, 150_000
    while offset < _SIZE:
        answers = _at_once([target] * 4, url, offset, body[offset : offset + step])
        assert sum(answer.status == 204 for answer in answers) <= 1, answers
        assert {answer.status for answer in answers} <= {204, 409}, answers
        now = target.head(url)
        assert offset <= now.offset <= offset + step
        offset = now.offset
    target.keeps(now, body)


@statement("8.6")
def a_body_without_end(target: Target) -> None:
    """A chunked body that is longer than the upload stops at its length."""
    url, body = target.created(_SIZE), recording(_SIZE)
    headers = {**CHUNK, "Upload-Offset": "0", "Transfer-Encoding": "chunked"}
    with target.begun("PATCH", url, headers, b"") as connection:
        for start in range(0, _SIZE, 100_000):
            _send_chunk(connection, body[start : start + 100_000])
        _send_chunk(connection, b"more than enough")
        answer = answer_on(connection)
    assert (answer.status, answer.offset) == (204, _SIZE)
    assert target.offset(url) == _SIZE
    target.keeps(answer, body)


@statement("8.7")
def a_chunked_body_that_breaks_off(target: Target) -> None:
    """A chunked body that breaks off within a chunk keeps what came."""
    url, body = target.created(_SIZE), recording(_SIZE)
    headers = {**CHUNK, "Upload-Offset": "0", "Transfer-Encoding": "chunked"}
    target.begun("PATCH", url, headers, b"%x\r\n" % 50_000 + body[:30_000]).close()
    target.offset_becomes(url, 30_000)
    _completed(target, url, body)


@statement("8.8")
def the_lost_last_answer(target: Target) -> None:
    """The last PATCH whose answer was lost has been taken: HEAD tells the end, and the message."""
    url, body = target.created(_SIZE), recording(_SIZE)
    target.begun_patch(url, 0, _SIZE, body).close()
    target.offset_becomes(url, _SIZE)
    now = target.head(url)
    assert target.patch(url, 0, body).status == 409
    assert target.head(url).message_id == now.message_id
    target.keeps(now, body)


@statement("8.9")
def the_lost_answer_of_a_creation(target: Target) -> None:
    """A creation with all bytes whose answer was lost is found again by its Idempotency-Key, its message too."""
    if not target.is_earshot:
        raise NotApplicable("the server knows no Idempotency-Key")
    body, key = recording(_SIZE), {"Idempotency-Key": secrets.token_hex(8)}
    metadata = {"Upload-Metadata": target.encoded_metadata(), "Upload-Length": str(_SIZE)}
    headers = {**CHUNK, **key, **metadata, "Content-Length": str(_SIZE)}
    target.begun("POST", target.endpoint, headers, body).close()
    time.sleep(0.5)
    first, second = (target.create(_SIZE, body, {**CHUNK, **key}) for _ in range(2))
    assert (first.status, second.status, first.offset) == (201, 201, _SIZE)
    assert first.message_id == second.message_id
    target.keeps(first, body)


@statement("8.10")
def a_body_that_falls_silent(target: Target) -> None:
    """A body that falls silent is cut after the server's time-out; its bytes are kept."""
    if target.idle_s is None or target.idle_s > 10:
        raise NotApplicable("the server's patience is not known, or long")
    url, body = target.created(_SIZE), recording(_SIZE)
    with target.begun_patch(url, 0, _SIZE, body[:50_000]) as silent:
        silent.settimeout(target.idle_s + 10)
        assert answer_on(silent).status == 408
    assert target.offset(url) == 50_000
    _completed(target, url, body)


@statement("8.11")
def a_body_that_dribbles(target: Target) -> None:
    """A body that comes byte by byte is taken."""
    url, body = target.created(2_000), recording(2_000)
    with target.begun_patch(url, 0, 2_000, b"") as slow:
        for start in range(0, 2_000, 200):
            slow.sendall(body[start : start + 200])
            time.sleep(0.05)
        answer = answer_on(slow)
    assert (answer.status, answer.offset) == (204, 2_000)
    target.keeps(answer, body)


@statement("8.12")
def terminated_within_a_patch(target: Target) -> None:
    """An upload that is terminated during a PATCH stays gone, whatever the PATCH still sends."""
    url, body = target.created(_SIZE), recording(_SIZE)
    with target.begun_patch(url, 0, _SIZE, body[:70_000]) as writing:
        time.sleep(0.2)
        assert target.request("DELETE", url).status == 204
        _goes_on(writing, body[70_000:])
        assert answer_on(writing).status in (404, 409, 410)
    assert target.head(url).status in (404, 410)


@statement("8.13")
def a_creation_without_end(target: Target) -> None:
    """A chunked body that comes with a creation stops at the length that was announced, too."""
    body = recording(_SIZE)
    told = {"Upload-Metadata": target.encoded_metadata(), "Upload-Length": str(_SIZE)}
    headers = {**CHUNK, **told, "Transfer-Encoding": "chunked"}
    with target.begun("POST", target.endpoint, headers, b"") as connection:
        _send_chunk(connection, body)
        _send_chunk(connection, b"more than enough")
        answer = answer_on(connection)
    assert (answer.status, answer.offset) == (201, _SIZE)
    target.keeps(answer, body)


@statement("8.14")
def a_checked_body_without_end(target: Target) -> None:
    """A chunked body with a checksum that is longer than the upload is refused as a whole."""
    url, body = target.created(_SIZE), recording(_SIZE)
    digest = base64.b64encode(hashlib.sha1(body + b"more").digest()).decode()
    headers = {**CHUNK, "Upload-Offset": "0", "Upload-Checksum": f"sha1 {digest}", "Transfer-Encoding": "chunked"}
    with target.begun("PATCH", url, headers, b"") as connection:
        _send_chunk(connection, body)
        _send_chunk(connection, b"more")
        assert 400 <= answer_on(connection).status < 500
    assert target.offset(url) == 0
    _completed(target, url, body)


def _completed(target: Target, url: str, body: bytes) -> None:
    offset = target.offset(url)
    answer = target.patch(url, offset, body[offset:])
    assert (answer.status, answer.offset) == (204, len(body))
    target.keeps(answer, body)


def _at_once(targets: list[Target], url: str, offset: int, body: bytes) -> list[Answer]:
    answers: list[Answer] = []
    begin = threading.Barrier(len(targets))

    def write(target: Target) -> None:
        begin.wait()
        answers.append(target.patch(url, offset, body))

    threads = [threading.Thread(target=write, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _goes_on(connection: socket.socket, more: bytes) -> None:
    """The client that was passed over does not know it yet."""
    with suppress(OSError):
        connection.sendall(more)


def _send_chunk(connection: socket.socket, data: bytes) -> None:
    connection.sendall(b"%x\r\n" % len(data) + data + b"\r\n")
