"""People who talk to each other over the API while somebody watches the page."""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pipeline.embedded import StackInfo
from pipeline.tokens import sign

SAMPLES = Path(__file__).parents[2] / "pipeline" / "samples"
_PATIENCE_S = 60
_thread_numbers = itertools.count(1)


@dataclass(frozen=True)
class Thread:
    id: str
    title: str


class Person:
    """One user with a token."""

    def __init__(self, stack: StackInfo, name: str) -> None:
        self.name = name
        self.token = sign(stack.jwt_secret, name, seconds=3600)
        headers = {"Authorization": f"Bearer {self.token}"}
        self._http = httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def start_thread(self, *others: str, title: str | None = None) -> Thread:
        """With a title that no other thread has, when none is given."""
        title = title or f"Thread {next(_thread_numbers)}"
        made = self._call("POST", "/v1/threads", json={"participants": list(others), "title": title})
        return Thread(made["id"], title)

    def write(self, thread: Thread, text: str) -> dict[str, Any]:
        return self._call("POST", f"/v1/threads/{thread.id}/messages", json={"text": text})

    def speak(self, thread: Thread, *recordings: str | bytes) -> list[dict[str, Any]]:
        """Sends recordings (names of samples, or bytes) and waits until nothing more will happen to them."""
        sent = [self.send(thread, each)["id"] for each in recordings]
        return [self.settled(message_id) for message_id in sent]

    def send(self, thread: Thread, recording: str | bytes) -> dict[str, Any]:
        """The message as it is at first."""
        body = (SAMPLES / recording).read_bytes() if isinstance(recording, str) else recording
        return self._call("POST", f"/v1/threads/{thread.id}/voice-messages", content=body)

    def listen(self, message: dict[str, Any]) -> None:
        """As if it had been played to its end."""
        body = {"position_ms": message["voice"]["duration_ms"], "completed": True}
        self._send("POST", f"/v1/messages/{message['id']}/played", json=body)

    def stop_at(self, message: dict[str, Any], position_ms: int) -> None:
        """Somewhere else."""
        self._send("POST", f"/v1/messages/{message['id']}/played", json={"position_ms": position_ms})

    def stopped_at(self, message: dict[str, Any]) -> int:
        return int(self._call("GET", f"/v1/messages/{message['id']}/played")["position_ms"])

    def correct(self, message: dict[str, Any], text: str) -> None:
        self._send("PUT", f"/v1/messages/{message['id']}/transcript/correction", json={"text": text})

    def settled(self, message_id: str) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            message = self.message(message_id)
            voice = message["voice"]
            transcript = voice["transcript"] or {}
            if voice["state"] in ("rejected", "failed") or transcript.get("state") in ("completed", "no_speech"):
                return message
            time.sleep(0.1)
        raise AssertionError(f"{message_id} is not settled: {message}")

    def messages(self, thread: Thread) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self._call("GET", f"/v1/threads/{thread.id}/messages?limit=100")["items"])

    def signal(self, thread: Thread, kind: str) -> None:
        self._send("POST", f"/v1/threads/{thread.id}/signals", json={"kind": kind})

    def message(self, message_id: str) -> dict[str, Any]:
        return self._call("GET", f"/v1/messages/{message_id}")

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return dict(self._send(method, path, **options).json())

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, path, **options).raise_for_status()
