"""Idempotency-Key on calls with a JSON body: claim, change and result are one transaction.

A second request with the same key waits for the first one's transaction and then replays it; a process that dies
takes its claim with it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy import Connection

from api.errors import Problem
from storage import idempotency

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="a repeat gives the first one's result, for 7 days; at most 255 printable ASCII characters",
    ),
]
REPLAYED = {"Idempotency-Replayed": "true"}


@dataclass(frozen=True)
class Made:
    status: int
    resource_id: str
    replayed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return REPLAYED if self.replayed else {}


def once(
    connection: Connection,
    request: Request,
    user: str,
    key: str | None,
    body: BaseModel | None,
    make: Callable[[], Made],
) -> Made:
    """Raises Problem when the key was used for another body, InProgress when its first request still runs."""
    if checked(key) is None:
        return make()
    # Without what was left out: a field that a later version adds must not make a repeated request another one.
    content = "" if body is None else body.model_dump_json(exclude_defaults=True)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    claim = idempotency.Claim(user, request.url.path, key or "")
    if (finished := idempotency.begin(connection, claim)) is not None:
        if finished.fingerprint != fingerprint:
            raise Problem("idempotency_mismatch", "this Idempotency-Key was used with another body")
        return Made(finished.status, finished.resource_id, replayed=True)
    made = make()
    idempotency.Once(claim, fingerprint, made.status).complete(connection, made.resource_id)
    return made


def checked(key: str | None) -> str | None:
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Problem("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters", status=400)
    return key
