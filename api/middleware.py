"""What happens around every request, as plain ASGI so that streams stay streams."""

import re
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem
from api.measurements import Requests

MAX_JSON_BYTES = 1024 * 1024
# A run may be given the ids of its messages.
MAX_BYTES = {"/v1/reprocess": 4 * 1024 * 1024}
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
# The calls whose body is a recording; they count for themselves.
_STREAMED = re.compile(r".*/voice-messages|/v1/uploads(/[^/]*)?")


class Observed:
    """Counts and times each request by its route, and sends the headers that every answer carries."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [each for each in _ALWAYS if each[0] not in present]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path_format", "unmatched")
            self._requests.observe(_method(scope), route, status, time.perf_counter() - begun)


class BoundedBody:
    """No body but a recording is longer than any JSON that a call takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _STREAMED.fullmatch(scope["path"]):
            return await self._app(scope, receive, send)
        claimed, most = Headers(scope=scope).get("content-length", ""), MAX_BYTES.get(scope["path"], MAX_JSON_BYTES)
        received = 0

        async def bounded() -> Message:
            nonlocal received
            if claimed.isdecimal() and (len(claimed) > 18 or int(claimed) > most):
                raise _too_large(most)
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, bounded, send)


def _too_large(most: int) -> Problem:
    return Problem("too_large", f"a body may have at most {most} bytes")


def _method(scope: Scope) -> str:
    """Clients may make methods up; each would be a time series."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"
