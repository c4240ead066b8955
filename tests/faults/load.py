"""People who send recordings as a phone does: again, with the same key, until there is an answer."""

import base64
import hashlib
import random
import socket
import time
import uuid
import wave
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.faults.world import World

SAMPLE = Path(__file__).parent.parent.parent / "pipeline" / "samples" / "stereo.wav"
PATIENCE_S = 180
_SENDERS = 3
# One of so many goes in pieces.
_RESUMABLE = 3
_PIECE = 32 * 1024
_RATE = 22_050
_CHUNK = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


@dataclass
class Told:
    """What clients were told: message ids with the SHA-256 of what was sent, and every problem before that.

    `broken` counts the requests that got no answer.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    problems: list[httpx.Response] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    broken: int = 0

    def __ior__(self, other: "Told") -> "Told":
        self.accepted |= other.accepted
        self.problems += other.problems
        self.threads |= other.threads
        self.broken += other.broken
        return self


class Load:
    """`count` messages sent by a few people at once, about `over_s` seconds long; begins at once."""

    def __init__(self, world: World, count: int, *, over_s: float, seed: int) -> None:
        self._world = world
        self._pause_s = over_s * _SENDERS / max(count, 1)
        self._senders = ThreadPoolExecutor(_SENDERS, "sender")
        shares = [range(first, count, _SENDERS) for first in range(_SENDERS)]
        self._running: list[Future[Told]] = [self._senders.submit(self._send, share, seed) for share in shares]

    @property
    def going_on(self) -> bool:
        return not all(running.done() for running in self._running)

    def finish(self) -> Told:
        """Returns when all of it was accepted."""
        told = Told()
        for running in self._running:
            told |= running.result()
        self._senders.shutdown()
        return told

    def _send(self, numbers: range, seed: int) -> Told:
        told, chance = Told(), random.Random(seed + numbers.start)
        with Sender(self._world.url, self._world.token("alice"), told) as sender:
            thread = sender.thread()
            for number in numbers:
                body = recording(seed * 100_000 + number)
                send = sender.send_resumable if number % _RESUMABLE == 0 else sender.send
                send(thread, body)
                time.sleep(self._pause_s * chance.uniform(0.5, 1.5))
        return told


def recording(number: int) -> bytes:
    """Two seconds of speech as WAV, another one for each number."""
    noise = np.random.default_rng(number).integers(-1, 2, 2 * _RATE, dtype=np.int16)
    body = BytesIO()
    with wave.open(body, "wb") as file:
        file.setparams((1, 2, _RATE, 0, "NONE", ""))
        file.writeframes((_speech() + noise).tobytes())
    return body.getvalue()


@cache
def _speech() -> np.ndarray:
    with wave.open(str(SAMPLE)) as file:
        samples = np.frombuffer(file.readframes(4 * _RATE), np.int16)
    # Two channels at twice the rate.
    return samples.reshape(-1, 4).mean(axis=1).astype(np.int16)


class Sender:
    def __init__(self, url: str, token: str, told: Told) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False
        )
        self.told = told

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def thread(self) -> str:
        answer = self._until(201, lambda: self._client.post("/v1/threads", json={"participants": ["bob"]}))
        thread = str(answer.json()["id"])
        self.told.threads.add(thread)
        return thread

    def send(self, thread: str, body: bytes) -> str:
        """In one request."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"/v1/threads/{thread}/voice-messages"
        answer = self._until(201, lambda: self._client.post(path, content=body, headers=headers))
        return self._accepted(str(answer.json()["id"]), body)

    def try_once(self, thread: str, body: bytes) -> httpx.Response | None:
        """The answer; None when the server breaks off."""
        try:
            answer = self._client.post(f"/v1/threads/{thread}/voice-messages", content=body)
        except httpx.HTTPError:
            return None
        if answer.status_code == 201:
            self._accepted(str(answer.json()["id"]), body)
        return answer

    def send_resumable(self, thread: str, body: bytes) -> str:
        """In pieces."""
        return self.complete(self.begin(thread, body), body)

    def begin(self, thread: str, body: bytes) -> str:
        """Where to send the pieces."""
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(body)),
            "Upload-Metadata": f"thread_id {_base64(thread)}",
            "Idempotency-Key": str(uuid.uuid4()),
        }
        return self._until(201, lambda: self._client.post("/v1/uploads", headers=headers)).headers["Location"]

    def begin_a_piece(self, upload: str, body: bytes) -> socket.socket:
        """The connection over which half of a piece has gone, and the other half never comes."""
        url = self._client.base_url.join(upload)
        headers = {**self._client.headers, **_at(0), "Host": "earshot", "Content-Length": str(_PIECE)}
        lines = [f"PATCH {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        connection = socket.create_connection((url.host, url.port))
        connection.sendall("\r\n".join(lines).encode() + body[: _PIECE // 2])
        return connection

    def complete(self, upload: str, body: bytes) -> str:
        """Goes on from where the server says that it is."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            now = self._until(200, lambda: self._client.head(upload, headers={"Tus-Resumable": "1.0.0"}))
            if message := now.headers.get("Earshot-Message-Id"):
                return self._accepted(message, body)
            offset = int(now.headers["Upload-Offset"])
            piece = {"content": body[offset : offset + _PIECE], "headers": _at(offset)}
            self._try(204, partial(self._client.patch, upload, **piece))
        pytest.fail("an upload never became a message")

    def delete(self, message: str) -> None:
        self._until(204, lambda: self._client.delete(f"/v1/messages/{message}"))

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def _accepted(self, message: str, body: bytes) -> str:
        self.told.accepted[message] = hashlib.sha256(body).hexdigest()
        return message

    def _until(self, status: int, request: Callable[[], httpx.Response]) -> httpx.Response:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if answer := self._try(status, request):
                return answer
            time.sleep(0.2)
        pytest.fail("never accepted")

    def _try(self, status: int, request: Callable[[], httpx.Response]) -> httpx.Response | None:
        try:
            answer = request()
        except httpx.HTTPError:
            self.told.broken += 1
            return None
        if answer.status_code == status:
            return answer
        self.told.problems.append(answer)
        assert answer.status_code in (409, 503, 507), answer.text
        return None


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _at(offset: int) -> dict[str, str]:
    return {**_CHUNK, "Upload-Offset": str(offset)}
