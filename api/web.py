"""The web player's files, and the documentation page."""

import mimetypes
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from api.services import Services
from pipeline.playback import PresignedPlayback

_PAGE = Path(__file__).parent / "page"


def page_router(services: Services) -> APIRouter:
    """Each file of the page under its own name; `index.html` is the root."""
    router = APIRouter(include_in_schema=False)
    headers = {"Content-Security-Policy": _content_security_policy(services), "Cache-Control": "no-cache"}
    for file in sorted(_PAGE.glob("*")):
        if file.is_file() and not file.name.startswith("."):
            path = "/" if file.name == "index.html" else f"/{file.name}"
            router.add_api_route(path, _sender(file, headers), methods=["GET", "HEAD"])
    return router


def _sender(file: Path, headers: dict[str, str]):  # type: ignore[no-untyped-def]
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    async def send() -> Response:
        return FileResponse(file, headers=headers, media_type=kind)

    return send


def _content_security_policy(services: Services) -> str:
    """Nothing but our own files, and recordings from where playback URLs lead."""
    media = " ".join(dict.fromkeys(["'self'", *_playback_origins(services)]))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; manifest-src 'self';"
        f" img-src 'self' data:; media-src {media} blob:; connect-src {media};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _playback_origins(services: Services) -> list[str]:
    if not isinstance(services.playback, PresignedPlayback):
        return [_origin(str(services.api.public_url))]
    endpoint = services.storage.s3_public_url or services.storage.s3_endpoint_url
    if endpoint is None:
        return [f"https://{services.storage.s3_bucket}.s3.{services.storage.s3_region}.amazonaws.com"]
    return [_origin(endpoint)]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
