import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from ingest.body import Body
from ingest.errors import Refused
from ingest.receive import ClientGone, receive
from ingest.spool import MEMORY_BYTES, Spool
from storage.errors import StorageFull

MAX_BYTES = 1000


def pieces(*chunks: bytes, pause_s: float = 0, size: int | None = None, then: str = "end") -> Body:
    """What a server hands on of a request that is sent like this, and which then ends, or whose client goes away."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if then == "gone" else {"type": "http.request", "body": b""})
    coming = iter(messages)

    async def receive_next() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        return next(coming)

    return Body(receive_next, size=size, idle_s=1)


def received(body: Body, content_type: str = "") -> bytes:
    with Spool() as spool:
        asyncio.run(receive(body, spool, content_type=content_type, max_bytes=MAX_BYTES))
        return content_of(spool)


def content_of(spool: Spool) -> bytes:
    body = spool.body()
    if isinstance(body, list):
        return b"".join(body)
    body.seek(0)
    return body.read()


def refusal(body: Body) -> str:
    with pytest.raises(Refused) as refused:
        received(body)
    return refused.value.code


def test_a_body_is_taken_up_to_the_limit() -> None:
    assert received(pieces(b"ab", b"", b"c")) == b"abc"
    assert received(pieces(b"x" * 600, b"x" * 400)) == b"x" * 1000
    assert refusal(pieces(b"x" * 600, b"x" * 401)) == "too_large"
    assert refusal(pieces(b"abc", size=1001)) == "too_large"
    assert refusal(pieces()) == "no_audio"


def test_a_slow_body_is_taken_and_one_that_stops_is_not() -> None:
    assert received(pieces(*[b"x"] * 5, pause_s=0.25)) == b"xxxxx"
    assert refusal(pieces(b"x", pause_s=10)) == "body_timeout"


def test_what_came_of_a_client_that_went_away_is_no_recording() -> None:
    with pytest.raises(ClientGone):
        received(pieces(b"abc", then="gone"))


@pytest.mark.parametrize("size", [1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES + 17, 3 * MEMORY_BYTES + 20_000])
def test_a_spool_gives_back_what_was_written(size: int) -> None:
    data = os.urandom(size)

    async def fill(spool: Spool) -> None:
        for start in range(0, size, 50_000):
            await spool.write(data[start : start + 50_000])

    with Spool() as spool:
        asyncio.run(fill(spool))
        assert spool.size == size
        assert b"".join(spool.pieces(70_000)) == data
        assert spool.finish() == hashlib.sha256(data).hexdigest()
        assert spool.head(100) == data[:100]
        assert content_of(spool) == data


def test_a_spool_leaves_no_name_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        asyncio.run(spool.write(b"x" * (MEMORY_BYTES + 1)))
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every write to this device fails as on a full disk.
    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
    with Spool() as spool, pytest.raises(StorageFull):
        asyncio.run(spool.write(b"x" * (MEMORY_BYTES + 1)))
