"""Resumable uploads: tus 1.0 with creation, creation-with-upload, checksum, expiration and termination."""

from fastapi import APIRouter, Request, Response

from api import tus
from api.auth import identified
from api.bare import BareRoute
from api.errors import Problem, not_found
from api.once import REPLAYED, checked
from api.services import Services, services
from api.threads import checked_thread
from ingest.body import Body
from ingest.checksums import Checksum, parse_checksum
from ingest.errors import Refused, too_large
from storage.ids import is_id
from storage.uploads import NewUpload, StoredUpload

# The protocol describes itself (OPTIONS), and OpenAPI has no words for it.
router = APIRouter(prefix=tus.PREFIX, include_in_schema=False, route_class=BareRoute)


@router.options("")
@router.options("/{upload_id}")
async def describe(request: Request) -> Response:
    return Response(status_code=204, headers=tus.options(services(request).ingest.max_bytes))


@router.post("")
async def create(request: Request) -> Response:
    """What comes in the body is taken as the upload's first bytes."""
    here, user = services(request), (await identified(request)).user
    key = checked(request.headers.get("idempotency-key"))
    tus.require_version(request)
    new = _announced(request, user, here.ingest.max_bytes)
    body = _body(request, here)
    has_bytes = "content-type" in request.headers and body.size != 0
    if has_bytes:
        tus.require_chunk(request)
    checksum = _checksum(request)
    created = await here.resumable.create(new, tus.PREFIX, key)
    upload = created.upload
    if has_bytes and not created.replayed:
        upload = await _begun(here, upload, body, checksum, found_again=key is not None)
    headers = {"Location": f"{tus.PREFIX}/{upload.id}", **(REPLAYED if created.replayed else {})}
    return Response(status_code=201, headers={**headers, **tus.progress(upload)})


@router.head("/{upload_id}")
async def look(request: Request) -> Response:
    user, upload_id = await _named(request)
    upload = await services(request).resumable.look(upload_id, user)
    headers = {"Upload-Length": str(upload.length), **tus.progress(upload)}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(headers=headers)


@router.patch("/{upload_id}")
async def append(request: Request) -> Response:
    user, upload_id = await _named(request)
    here = services(request)
    tus.require_chunk(request)
    offset = tus.number(request, "Upload-Offset")
    upload = await here.resumable.receive(upload_id, user, offset, _body(request, here), _checksum(request))
    return Response(status_code=204, headers=tus.progress(upload))


@router.delete("/{upload_id}")
async def terminate(request: Request) -> Response:
    user, upload_id = await _named(request)
    await services(request).resumable.terminate(upload_id, user)
    return Response(status_code=204)


async def _named(request: Request) -> tuple[str, str]:
    """Who asks, and for which upload."""
    user = (await identified(request)).user
    tus.require_version(request)
    upload_id = str(request.path_params["upload_id"])
    if not is_id("upl", upload_id):
        raise not_found("upload")
    return user, upload_id


async def _begun(
    here: Services, upload: StoredUpload, body: Body, checksum: Checksum | None, *, found_again: bool
) -> StoredUpload:
    """A client that is told of a failure, or went away, knows no Location: without a key to find it again, nothing may
    come of it."""
    try:
        received = await here.resumable.receive(upload.id, upload.user_id, 0, body, checksum)
    except Exception:
        if not found_again:
            await here.resumable.terminate(upload.id, upload.user_id)
        raise
    if body.state == "gone" and not received.is_full and not found_again:
        await here.resumable.terminate(upload.id, upload.user_id)
    return received


def _announced(request: Request, user: str, max_bytes: int) -> NewUpload:
    if "upload-concat" in request.headers:
        raise Problem("invalid_request", "this server does not put uploads together (Upload-Concat)", status=400)
    length = tus.number(request, "Upload-Length")
    if length > max_bytes:
        raise too_large(max_bytes)
    if length == 0:
        raise Refused("no_audio", "the recording is empty")
    raw = request.headers.get("upload-metadata", "")
    found = tus.metadata(raw)
    if "thread_id" not in found:
        raise Problem("invalid_request", "Upload-Metadata names no thread_id", status=400)
    return NewUpload(
        user_id=user,
        method="tus",
        thread_id=checked_thread(found["thread_id"]),
        length=length,
        language=tus.language(found),
        external_id=tus.external_id(found),
        metadata=raw,
    )


def _body(request: Request, here: Services) -> Body:
    size = request.headers.get("content-length")
    return Body(
        request.receive,
        size=int(size) if size is not None and size.isdecimal() and len(size) < 16 else None,
        idle_s=here.ingest.idle_s,
    )


def _checksum(request: Request) -> Checksum | None:
    header = request.headers.get("upload-checksum")
    try:
        return None if header is None else parse_checksum(header)
    except ValueError as error:
        raise Problem("invalid_request", f"Upload-Checksum: {error}", status=400) from error
