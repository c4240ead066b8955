"""Proxied playback: the bytes behind a signed URL, by the rules of RFC 9110 that players rely on."""

import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.errors import Problem, documented, not_found
from api.services import Here, Services
from pipeline.playback import ProxiedPlayback
from storage import messages
from storage.errors import ObjectMissing
from storage.ids import is_id
from storage.messages import StoredRendition
from storage.object_stream import ObjectStream

router = APIRouter(prefix="/v1/playback", tags=["voice messages"])
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*")
_AUDIO = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("audio/mp4", "audio/ogg")}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "the whole recording", **_AUDIO},
    206: {"description": "a part of it", **_AUDIO},
    304: {"description": "what the client has is what there is"},
    **documented(
        ["forbidden", "not_found", "url_expired", "range_not_satisfiable", "storage_unavailable", "storage_full"],
        also={422: "invalid_request"},
    ),
}


@router.head("/{message_id}/{name}", name="head_recording", response_class=Response, responses=_ANSWERS)
@router.get("/{message_id}/{name}", name="get_recording", response_class=Response, responses=_ANSWERS)
def stream(
    message_id: str,
    name: str,
    request: Request,
    here: Here,
    expires: Annotated[str, Query(description="Unix time")],
    signature: Annotated[str, Query(description="ours, over message, format and expiry")],
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Response:
    """Needs no token: the URL itself is the permission, until it expires or the message is deleted."""
    left_s, rendition = _allowed(here, message_id, name, expires, signature)
    etag = f'"{rendition.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": f"private, max-age={left_s}"}
    if if_none_match is not None and _names(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    part = None
    if wanted is not None and if_range in (None, etag):
        part = byte_range(wanted, rendition.size)
    if part is not None:
        headers["Content-Range"] = f"bytes {part[0]}-{part[1]}/{rendition.size}"
    headers["Content-Length"] = str(part[1] - part[0] + 1 if part else rendition.size)
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=rendition.mime_type)
    chunks = _chunks(_opened(here, rendition, part))
    return StreamingResponse(chunks, status, headers, rendition.mime_type)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single satisfiable range; None where the whole is to be sent: several ranges, another
    unit, nonsense. Raises Problem for a range outside the recording."""
    match = _RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        first, last = int(match[1]), int(match[2]) if match[2] else size - 1
        if match[2] and last < first:
            return None
    else:
        first, last = max(0, size - int(match[2])), size - 1 if int(match[2]) else -1
    if first >= size or last < 0:
        detail = f"the recording has {size} bytes"
        raise Problem("range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{size}"})
    return first, min(last, size - 1)


def _allowed(here: Services, message_id: str, name: str, expires: str, signature: str) -> tuple[int, StoredRendition]:
    """Seconds for which the link lives on, and what it plays."""
    moment = int(expires) if re.fullmatch(r"[0-9]{1,12}", expires) else -1
    if not is_id("msg", message_id) or not isinstance(here.playback, ProxiedPlayback):
        raise not_found("recording")
    rendition_format = here.playback.format_of(message_id, name, moment, signature)
    if rendition_format is None:
        raise Problem("forbidden", "the URL was changed: take a fresh one from the message")
    left_s = moment - int(time.time())
    if left_s <= 0:
        raise Problem("url_expired", "take a fresh URL from the message")
    with here.database.transaction() as connection:
        found = messages.renditions(connection, message_id)
    rendition = next((each for each in found if each.format == rendition_format), None)
    if rendition is None:
        raise not_found("recording")
    return left_s, rendition


def _names(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as RFC 9110 wants it here."""
    return if_none_match.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))


def _opened(here: Services, rendition: StoredRendition, part: tuple[int, int] | None) -> ObjectStream:
    try:
        return here.store.get(rendition.object_key, part)
    except ObjectMissing:
        raise not_found("recording") from None


def _chunks(stream: ObjectStream) -> Iterator[bytes]:
    with stream:
        yield from stream
