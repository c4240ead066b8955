"""A body from the network into a spool, no faster than it can be put away and no longer than allowed."""

import asyncio
from collections.abc import AsyncIterator

from ingest.errors import Refused, too_large
from ingest.form import OVERHEAD_BYTES, FileField, boundary_of
from ingest.settings import IngestSettings
from ingest.spool import Spool


async def receive(
    body: AsyncIterator[bytes],
    spool: Spool,
    *,
    content_type: str,
    content_length: int | None,
    settings: IngestSettings,
) -> None:
    """Fills `spool` with the recording: the body itself, or the field `file` of a multipart form.

    Raises Refused (`too_large`, `no_audio`, `body_timeout`, `invalid_request`), StorageFull, and whatever `body`
    raises when the client goes away.
    """
    boundary = boundary_of(content_type)
    form = FileField(boundary) if boundary is not None else None
    allowed = settings.max_bytes + (OVERHEAD_BYTES if form else 0)
    if content_length is not None and content_length > allowed:
        raise too_large(settings.max_bytes)
    async for chunk in _within(body, settings.idle_s, allowed):
        await spool.write(form.feed(chunk) if form else chunk)
        if spool.size > settings.max_bytes:
            raise too_large(settings.max_bytes)
    if form:
        form.finish()
    if not spool.size:
        raise Refused("no_audio", "the recording is empty")


async def _within(body: AsyncIterator[bytes], idle_s: float, allowed: int) -> AsyncIterator[bytes]:
    """The chunks of a body that neither stops for longer than `idle_s` nor grows beyond what is allowed."""
    received = 0
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Refused("body_timeout", f"nothing came for {idle_s:g} seconds: send it again") from error
        received += len(chunk)
        if received > allowed:
            raise too_large(allowed)
        yield chunk
