"""A client of server-sent events, in a thread of its own."""

import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests import stack
from tests.api.conftest import Person


@dataclass(frozen=True)
class Heard:
    id: str | None
    type: str
    data: Any


class Listener:
    """Follows /v1/events from the moment of its making until it is closed."""

    def __init__(self, person: Person, last_event_id: str | None = None, url: str | None = None) -> None:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.heard: list[Heard] = []
        self.place: str | None = None
        self.ended = threading.Event()
        self._context = httpx.stream(
            "GET", f"{url or person.base_url}/v1/events", headers=dict(person.headers) | headers, timeout=30
        )
        self._response = self._context.__enter__()
        assert self._response.status_code == 200, self._response.read()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        stack.wait_until(lambda: self.place is not None)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # Already closed where the server has ended the stream.
        with suppress(OSError):
            self._response.extensions["network_stream"].get_extra_info("socket").shutdown(2)
        self._thread.join()
        self._context.__exit__(None, None, None)

    def types(self) -> list[str]:
        return [event.type for event in self.heard]

    def wait_for(self, count: int) -> list[Heard]:
        stack.wait_until(lambda: len(self.heard) >= count, timeout_s=10)
        return self.heard

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self._response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                self._dispatch(fields)
                fields = {}
        except httpx.TransportError:
            pass
        self.ended.set()

    def _dispatch(self, fields: dict[str, str]) -> None:
        self.place = fields.get("id", self.place)
        if "data" in fields:
            self.heard.append(Heard(fields.get("id"), fields["event"], json.loads(fields["data"])))
