"""The web player's files, and the documentation page."""

import gzip
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from api.services import Services

_PAGE = Path(__file__).parent / "page"


def page_router(services: Services) -> APIRouter:
    """Each file of the page under its own name; `index.html` is the root."""
    router = APIRouter(include_in_schema=False)
    headers = {
        "Content-Security-Policy": _content_security_policy(services),
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
    }
    for file in sorted(_PAGE.glob("*")):
        if file.is_file() and not file.name.startswith("."):
            path = "/" if file.name == "index.html" else f"/{file.name}"
            router.add_api_route(path, _sender(file, headers), methods=["GET", "HEAD"])
    return router


@dataclass(frozen=True)
class Content:
    plain: bytes
    packed: bytes
    etag: str


def _sender(file: Path, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    async def send(request: Request) -> Response:
        content = _read(file, file.stat().st_mtime_ns)
        tagged = {**headers, "ETag": content.etag}
        if content.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=tagged)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(content.packed, headers={**tagged, "Content-Encoding": "gzip"}, media_type=kind)
        return Response(content.plain, headers=tagged, media_type=kind)

    return send


@lru_cache(maxsize=256)
def _read(file: Path, changed_ns: int) -> Content:
    """Once for each state of a file: whoever works on the page sees it at the next reload."""
    plain = file.read_bytes()
    return Content(plain, gzip.compress(plain, 9, mtime=0), f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"')


def _content_security_policy(services: Services) -> str:
    """Nothing but our own files, and recordings from where playback URLs lead."""
    media = f"'self' {services.playback.origin}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        f" media-src {media} blob:; connect-src {media};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
