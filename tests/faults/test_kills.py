"""Every part of the running product killed while people send: what was accepted arrives, once.

`make test-faults N=100 SEED=7` sends more, and kills in another order.
"""

import json
import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.embedded import StackInfo
from pipeline.tokens import sign
from tests.stack import running_product, wait_until

MESSAGES = int(os.environ.get("N", "10"))
SEED = int(os.environ.get("SEED", "1"))
PARTS = ("media", "speech", "api", "reaper", "redis", "s3", "postgres")
SAMPLES = Path(__file__).parent.parent.parent / "pipeline" / "samples"
RECORDINGS = [(SAMPLES / name).read_bytes() for name in ("call.3gp", "code.caf", "late.ogg", "answer.webm")]
SETTLED = ("completed", "no_speech")
PATIENCE_S = 120


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackInfo]:
    with running_product(tmp_path) as info:
        yield info


@pytest.fixture
def alice(stack: StackInfo) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sign(stack.jwt_secret, 'alice')}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


@pytest.mark.timeout(600)
def test_what_was_accepted_while_everything_was_killed_arrives_once(stack: StackInfo, alice: httpx.Client) -> None:
    chance = random.Random(SEED)
    thread = alice.post("/v1/threads", json={"participants": ["bob"]}).json()["id"]
    accepted = set()
    for number in range(MESSAGES):
        kill(stack, PARTS[number] if number < len(PARTS) else chance.choice(PARTS))
        accepted.add(sent(alice, thread, chance.choice(RECORDINGS)))
    wait_until(lambda: all(settled(alice, message) for message in accepted), timeout_s=PATIENCE_S)
    assert len(accepted) == MESSAGES
    assert {message["id"] for message in everything(alice, thread)} == accepted


def kill(stack: StackInfo, part: str) -> None:
    parts: dict[str, Any] = json.loads((stack.data_dir / "stack.json").read_text())["parts"]
    # One that was killed before may not have been started again yet.
    with suppress(ProcessLookupError):
        os.kill(parts[part]["pid"], signal.SIGKILL)


def sent(client: httpx.Client, thread: str, recording: bytes) -> str:
    """Sends as a phone does: again, with the same key, until there is an answer."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            answer = client.post(f"/v1/threads/{thread}/voice-messages", content=recording, headers=headers)
        except httpx.HTTPError:
            time.sleep(0.2)
            continue
        if answer.status_code == 201:
            return str(answer.json()["id"])
        assert answer.status_code in (409, 503), answer.text
        time.sleep(0.2)
    pytest.fail("never accepted")


def settled(client: httpx.Client, message: str) -> bool:
    try:
        answer = client.get(f"/v1/messages/{message}")
    except httpx.HTTPError:
        return False
    if answer.status_code == 503:
        return False
    voice = answer.json()["voice"]
    assert voice["state"] in ("received", "processing", "ready"), voice["error"]
    return bool(voice["state"] == "ready" and voice["transcript"]["state"] in SETTLED)


def everything(client: httpx.Client, thread: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = client.get(
            f"/v1/threads/{thread}/messages", params={"limit": 100, **({"cursor": cursor} if cursor else {})}
        )
        found += page.json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return found
