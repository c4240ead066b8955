"""A body from the network into a spool, no faster than it can be put away and no longer than allowed."""

from ingest.body import Body
from ingest.errors import Refused, too_large
from ingest.form import OVERHEAD_BYTES, FileField, boundary_of
from ingest.spool import Spool


class ClientGone(Exception):
    """The client ended the connection before its body; nobody waits for an answer."""


async def receive(body: Body, spool: Spool, *, content_type: str, max_bytes: int) -> None:
    """Fills `spool` with the recording: the body itself, or the field `file` of a multipart form.

    Raises Refused (`too_large`, `no_audio`, `body_timeout`, `invalid_request`), StorageFull, and ClientGone.
    """
    boundary = boundary_of(content_type)
    form = FileField(boundary) if boundary is not None else None
    allowed, received = max_bytes + (OVERHEAD_BYTES if form else 0), 0
    if body.size is not None and body.size > allowed:
        raise too_large(max_bytes)
    while body.state == "coming":
        chunk = await body.read()
        received += len(chunk)
        if received > allowed:
            raise too_large(max_bytes)
        await spool.write(form.feed(chunk) if form else chunk)
        if spool.size > max_bytes:
            raise too_large(max_bytes)
    _require_whole(body)
    if form:
        form.finish()
    if not spool.size:
        raise Refused("no_audio", "the recording is empty")


def _require_whole(body: Body) -> None:
    if body.state == "idle":
        raise Refused("body_timeout", f"nothing came for {body.idle_s:g} seconds: send it again")
    if body.state == "gone":
        raise ClientGone
