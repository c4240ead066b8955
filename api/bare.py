"""Routes that read their request themselves.

The framework's way from a request to an endpoint's arguments and back takes a fifth of the API's processor time for an
upload of usual size. The few calls whose body is a recording go without it; the document still has their parameters,
from dependencies that are only written down.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from api import handlers
from api.errors import Problem

Value = TypeVar("Value")


class BareRoute(APIRoute):
    """Its endpoint is a coroutine that makes a response of the request; its `dependencies` are never called."""


class Bare:
    """Answers what these routes are for, past the framework's router; what they are not for goes on to that."""

    def __init__(self, app: ASGIApp, routes: Sequence[BareRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, params = self._found(scope)
        if route is None:
            return await self._app(scope, receive, send)
        scope["route"], scope["path_params"] = route, params
        request = Request(scope, receive, send)
        try:
            response: Response = await route.endpoint(request)
        except handlers.EXPECTED as error:
            response = await handlers.answer(request, error)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[BareRoute | None, dict[str, Any]]:
        if scope["type"] == "http":
            for route in self._routes:
                if scope["method"] in (route.methods or ()) and (found := route.path_regex.match(scope["path"])):
                    return route, found.groupdict()
        return None, {}


def optional(kind: TypeAdapter[Value], given: Mapping[str, str], name: str, place: str) -> Value | None:
    """The value of this name, None when none was given; raises Problem, which says in which `place` it is wrong."""
    if name not in given:
        return None
    try:
        return kind.validate_python(given[name])
    except ValidationError as error:
        raise Problem("invalid_request", f"{place}{name}: {error.errors()[0]['msg']}") from error
