"""The one table of what can go wrong, and problems as RFC 9457 tells them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """`fault` says who can do something about it."""

    status: int
    title: str
    fault: Literal["caller", "service"] = "caller"


KINDS = {
    "invalid_request": Kind(422, "The request is not valid"),
    "unauthorized": Kind(401, "The token is missing or not valid"),
    "forbidden": Kind(403, "Not allowed"),
    "not_found": Kind(404, "Nothing here for this caller"),
    "method_not_allowed": Kind(405, "This address does not take this method"),
    "body_timeout": Kind(408, "The body stopped coming"),
    "idempotency_conflict": Kind(409, "A request with this Idempotency-Key is running"),
    "offset_conflict": Kind(409, "The upload is at another offset"),
    "direct_unavailable": Kind(409, "Clients can't reach the object store"),
    "voice_not_ready": Kind(409, "The voice message can't be played"),
    "transcript_not_ready": Kind(409, "There is no text yet"),
    "webhook_disabled": Kind(409, "The webhook is disabled"),
    "run_is_over": Kind(409, "The run is not in a state for this"),
    "not_revertible": Kind(409, "There is nothing to go back to"),
    "job_not_dead": Kind(409, "Only a job that was given up can be retried"),
    "upload_expired": Kind(410, "The upload has expired"),
    "url_expired": Kind(410, "The playback URL has expired"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_format": Kind(415, "No known audio container"),
    "range_not_satisfiable": Kind(416, "The range lies outside the recording"),
    "no_audio": Kind(422, "There is no audio"),
    "idempotency_mismatch": Kind(422, "This Idempotency-Key was used for something else"),
    "rate_limited": Kind(429, "Too much in too short a time"),
    "checksum_mismatch": Kind(460, "The bytes do not match their checksum"),
    "internal_error": Kind(500, "The service failed", "service"),
    "storage_unavailable": Kind(503, "Storage does not answer", "service"),
    "auth_unavailable": Kind(503, "The issuer of tokens does not answer", "service"),
    "storage_full": Kind(507, "Storage is full", "service"),
}
RETRY_AFTER_S = 5


class ProblemView(BaseModel):
    type: str
    title: str
    status: int
    code: str
    detail: str


class Problem(HTTPException):
    """Raised anywhere below a route; `status` stands in for the table's where the contract knows two."""

    def __init__(
        self, code: str, detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status or KINDS[code].status, detail, headers=dict(headers or {}))
        self.code = code


def not_found(what: str) -> Problem:
    return Problem("not_found", f"no such {what}, or it is not yours to see")


def problem_response(problem: Problem) -> JSONResponse:
    kind = KINDS[problem.code]
    headers = dict(problem.headers or {})
    if problem.status_code in (503, 507):
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    view = ProblemView(
        type=f"urn:earshot:problem:{problem.code}",
        title=kind.title,
        status=problem.status_code,
        code=problem.code,
        detail=_sendable(problem.detail),
    )
    return JSONResponse(view.model_dump(), problem.status_code, headers, PROBLEM_JSON)


def documented(codes: Iterable[str], *, also: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of these codes; `also` maps a further status to its code."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status, []).append(code)
    for status, code in (also or {}).items():
        by_status.setdefault(status, []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": ", ".join(f"`{code}`" for code in sorted(set(found))),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def _sendable(text: str) -> str:
    """What a client sent may hold lone surrogates, which no answer can."""
    return text.encode(errors="replace").decode()
