import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import Refused
from ingest.receive import receive
from ingest.settings import IngestSettings
from ingest.spool import MEMORY_BYTES, Spool
from storage.errors import StorageFull

SETTINGS = IngestSettings.model_validate({"max_bytes": 1000, "idle_s": 1})


async def pieces(*chunks: bytes, pause_s: float = 0) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(pause_s)
        yield chunk


def received(body: AsyncIterator[bytes], **changes: Any) -> bytes:
    details: dict[str, Any] = {"content_type": "", "content_length": None, "settings": SETTINGS} | changes
    with Spool() as spool:
        asyncio.run(receive(body, spool, **details))
        stored = spool.body()
        return stored if isinstance(stored, bytes) else stored.read()


def refusal(body: AsyncIterator[bytes], **changes: Any) -> str:
    with pytest.raises(Refused) as refused:
        received(body, **changes)
    return refused.value.code


def test_a_body_is_taken_up_to_the_limit() -> None:
    assert received(pieces(b"ab", b"", b"c")) == b"abc"
    assert received(pieces(b"x" * 600, b"x" * 400)) == b"x" * 1000
    assert refusal(pieces(b"x" * 600, b"x" * 401)) == "too_large"
    assert refusal(pieces(b"abc"), content_length=1001) == "too_large"
    assert refusal(pieces()) == "no_audio"


def test_a_slow_body_is_taken_and_one_that_stops_is_not() -> None:
    assert received(pieces(*[b"x"] * 5, pause_s=0.25)) == b"xxxxx"
    assert refusal(pieces(b"x", pause_s=10)) == "body_timeout"


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
        body = spool.body()
        if not isinstance(body, bytes):
            body.seek(0)
            body = body.read()
        assert body == data


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
