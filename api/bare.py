"""Routes that read their request themselves.

The framework's way from a request to an endpoint's arguments takes a sixth of the API's processor time for an upload of
usual size. The few calls whose body is a recording go without it; the document still has their parameters, from
dependencies that are only written down.
"""

from collections.abc import Mapping
from typing import TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Receive, Scope, Send

from api.errors import Problem

Value = TypeVar("Value")


class BareRoute(APIRoute):
    """Its endpoint is a coroutine that makes a response of the request; its `dependencies` are never called."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            return await super().handle(scope, receive, send)
        response: Response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def optional(kind: TypeAdapter[Value], given: Mapping[str, str], name: str, place: str) -> Value | None:
    """The value of this name, None when none was given; raises Problem, which says in which `place` it is wrong."""
    if name not in given:
        return None
    try:
        return kind.validate_python(given[name])
    except ValidationError as error:
        raise Problem("invalid_request", f"{place}{name}: {error.errors()[0]['msg']}") from error
