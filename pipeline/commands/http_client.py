"""A small client of our own HTTP API, for the commands that act as a user."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pipeline.commands.errors import Unavailable, UserError
from pipeline.tokens import sign, signing_secret

Json = dict[str, Any]
# A long run is watched for days.
_TOKEN_S = 30 * 24 * 3600
_LATER = (429, 502, 503, 504)
_SETTLED_VOICE = ("rejected", "failed")
_SETTLED_TRANSCRIPT = ("completed", "no_speech", "failed")


class Client:
    """Every method raises UserError with the API's own words when it refuses."""

    def __init__(self, base_url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)

    @classmethod
    def from_data_dir(cls, data_dir: Path, user: str, *, scope: str = "") -> Self:
        """For the stack that runs from this folder, or the deployment that EARSHOT_PUBLIC_URL names; with the token in
        EARSHOT_TOKEN where its tokens are signed elsewhere."""
        given = os.environ.get("EARSHOT_TOKEN")
        return cls(base_url(data_dir), given or sign(signing_secret(data_dir), user, scope=scope, seconds=_TOKEN_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def create_thread(self, participants: list[str], *, title: str, external_id: str, acting_as: str) -> Json:
        body = {"participants": participants, "title": title, "external_id": external_id}
        return self._json("POST", "/v1/threads", json=body, headers={"Earshot-User": acting_as})

    def send_voice(
        self, thread_id: str, file: Path, *, language: str | None = None, external_id: str | None = None
    ) -> Json:
        params = {"language": language, "external_id": external_id}
        return self._json(
            "POST",
            f"/v1/threads/{thread_id}/voice-messages",
            content=file.read_bytes(),
            params={name: value for name, value in params.items() if value is not None},
        )

    def message(self, message_id: str) -> Json:
        return self._json("GET", f"/v1/messages/{message_id}")

    def messages(self, thread_id: str) -> list[Json]:
        """All of the thread, oldest first."""
        found: list[Json] = []
        cursor = None
        while True:
            params = {"limit": 100, **({"cursor": cursor} if cursor else {})}
            page = self._json("GET", f"/v1/threads/{thread_id}/messages", params=params)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found[::-1]

    def begin_run(self, body: Json) -> Json:
        return self._json("POST", "/v1/reprocess", json=body)

    def runs(self) -> list[Json]:
        """The latest ones."""
        return list(self._json("GET", "/v1/reprocess")["items"])

    def run(self, run_id: str) -> Json:
        return self._json("GET", f"/v1/reprocess/{run_id}")

    def change_run(self, run_id: str, change: str) -> Json:
        return self._json("POST", f"/v1/reprocess/{run_id}/{change}")

    def run_items(self, run_id: str, outcome: str) -> Iterator[Json]:
        cursor = None
        while True:
            params = {"outcome": outcome, "limit": 100, **({"cursor": cursor} if cursor else {})}
            page = self._json("GET", f"/v1/reprocess/{run_id}/items", params=params)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    @staticmethod
    def is_settled(message: Json) -> bool:
        """Nothing further will happen to it by itself."""
        voice = message["voice"]
        if voice["state"] in _SETTLED_VOICE:
            return True
        return voice["transcript"] is not None and voice["transcript"]["state"] in _SETTLED_TRANSCRIPT

    def _json(self, method: str, path: str, **options: Any) -> Json:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._http.base_url} does not answer ({type(error).__name__})") from None
        if answer.is_error:
            kind = Unavailable if answer.status_code in _LATER else UserError
            raise kind(f"{method} {path}: {answer.status_code} {_detail(answer)}")
        return dict(answer.json())


def base_url(data_dir: Path) -> str:
    if url := os.environ.get("EARSHOT_PUBLIC_URL"):
        return url
    stack = data_dir / "stack.json"
    try:
        return str(json.loads(stack.read_text())["url"])
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"no stack runs from {data_dir} (no {stack}): start one with `earshot up`,"
            " name its folder with --data-dir, or set EARSHOT_PUBLIC_URL"
        ) from None


def _detail(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['code']}: {problem.get('detail', '')}"
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
