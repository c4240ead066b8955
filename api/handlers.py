"""Every way a request can fail becomes a problem with a code; no trace leaves the house."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.errors import KINDS, Problem, not_found, problem_response
from ingest.errors import Refused
from ingest.receive import ClientGone
from ingest.turns import NoUpload
from storage.errors import NoThread, StorageFull, StorageUnavailable
from storage.idempotency import InProgress

log = logging.getLogger(__name__)
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 401: "unauthorized", 403: "forbidden"}


EXPECTED = (
    HTTPException,
    RequestValidationError,
    Refused,
    NoThread,
    NoUpload,
    InProgress,
    StorageUnavailable,
    StorageFull,
    ClientDisconnect,
    ClientGone,
)


def install(app: FastAPI) -> None:
    for error in (*EXPECTED, Exception):
        app.add_exception_handler(error, answer)


async def answer(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect | ClientGone):
        return Response(status_code=400)
    problem = translate(error)
    if KINDS[problem.code].fault == "service":
        log.warning("%s %s: %s (%s)", request.method, request.url.path, problem.code, error)
    return problem_response(problem)


def translate(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case HTTPException():
            code = _BY_STATUS.get(error.status_code, "invalid_request")
            return Problem(code, str(error.detail), status=error.status_code, headers=error.headers)
        case RequestValidationError():
            return Problem("invalid_request", _first_fault(error.errors()))
        case Refused():
            retry = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else None
            return Problem(error.code, error.message, headers=retry)
        case NoThread() | NoUpload():
            return not_found("thread" if isinstance(error, NoThread) else "upload")
        case InProgress():
            detail = "a request with this Idempotency-Key is running: ask again in a moment"
            return Problem("idempotency_conflict", detail, headers={"Retry-After": "1"})
        case StorageUnavailable():
            return Problem("storage_unavailable", "nothing was changed or lost: try again in a moment")
        case StorageFull():
            return Problem("storage_full", "there is no room for this: its operator has to make some")
    return Problem("internal_error", "the service failed in a way it does not know; its operator can see why")


def _first_fault(errors: Any) -> str:
    """`body.text: String should have at least 1 character`, without the value that was sent."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"
