"""Answers and their documentation, the same for every route."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from api.errors import documented

_ALWAYS = (
    "unauthorized",
    "forbidden",
    "not_found",
    "invalid_request",
    "storage_unavailable",
    "storage_full",
    "auth_unavailable",
)


def answers(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a call that needs a token, with the codes of its own."""
    return documented((*_ALWAYS, *codes), also={400: "invalid_request"})


def json_answer(view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Written here, and not once more by the framework."""
    return Response(view.model_dump_json(), status, dict(headers or {}), "application/json")


def nothing() -> Response:
    return Response(status_code=204)
