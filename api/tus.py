"""What tus 1.0 (https://tus.io/protocols/resumable-upload) says in headers."""

import base64
import binascii
from datetime import UTC
from email.utils import format_datetime

from fastapi import Request
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.bare import optional
from api.errors import Problem
from ingest.checksums import ALGORITHMS
from ingest.names import ExternalId, Language
from storage.uploads import StoredUpload

PREFIX = "/v1/uploads"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
CHUNK_TYPE = "application/offset+octet-stream"
MESSAGE_ID = "Earshot-Message-Id"
EXPOSED = [
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Expires",
    "Upload-Metadata",
    MESSAGE_ID,
]
_MOST_METADATA = 8192
_LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)
_EXTERNAL_ID: TypeAdapter[str] = TypeAdapter(ExternalId)


class Tus:
    """Every answer names the protocol's version; a client that can't send PATCH names its method in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self._app(scope, receive, send)
        if scope["method"] == "POST":
            override = dict(scope["headers"]).get(b"x-http-method-override", b"").decode("latin-1").upper()
            if override in ("PATCH", "DELETE", "HEAD"):
                scope = {**scope, "method": override}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(b"tus-resumable", VERSION.encode())]
            await send(message)

        await self._app(scope, receive, answer)


def options(max_bytes: int) -> dict[str, str]:
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def require_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        detail = f"send the header Tus-Resumable: {VERSION}"
        raise Problem("invalid_request", detail, status=412, headers={"Tus-Version": VERSION})


def require_chunk(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CHUNK_TYPE:
        raise Problem("invalid_request", f"the Content-Type of bytes is {CHUNK_TYPE}", status=415)


def number(request: Request, header: str) -> int:
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise Problem("invalid_request", f"send the header {header}: a number of bytes", status=400)
    return int(value)


def progress(upload: StoredUpload) -> dict[str, str]:
    """Headers that tell how far an upload is."""
    headers = {"Upload-Offset": str(upload.received), "Cache-Control": "no-store"}
    if upload.message_id is not None:
        return {**headers, MESSAGE_ID: upload.message_id}
    return {**headers, "Upload-Expires": format_datetime(upload.expires_at.astimezone(UTC), usegmt=True)}


def metadata(header: str) -> dict[str, str]:
    """`thread_id dGhy…,filename dm9pY2U=` as a dictionary; raises Problem."""
    if len(header) > _MOST_METADATA:
        raise Problem("invalid_request", f"Upload-Metadata may have {_MOST_METADATA} characters")
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _malformed(f"the value of {key!r} is not Base64 of UTF-8") from error
        if key in found:
            raise _malformed(f"{key!r} comes twice")
        found[key] = text
    return found


def language(found: dict[str, str]) -> str | None:
    return _checked(_LANGUAGE, found, "language")


def external_id(found: dict[str, str]) -> str | None:
    return _checked(_EXTERNAL_ID, found, "external_id")


def _checked(kind: TypeAdapter[str], found: dict[str, str], key: str) -> str | None:
    """Some clients send every key, with nothing in it."""
    return optional(kind, found, key, "Upload-Metadata ") if found.get(key) else None


def _malformed(detail: str) -> Problem:
    return Problem("invalid_request", f"Upload-Metadata: {detail}", status=400)
