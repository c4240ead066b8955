"""Uploads that go straight to S3: a signed URL first, then the word that all is there."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from api.answers import answers, json_answer
from api.auth import ActingUser
from api.errors import Problem, not_found
from api.once import REPLAYED, Key, Made, once
from api.services import Here, Services
from api.threads import require_member
from ingest.direct import Direct
from ingest.errors import Refused, too_large
from ingest.names import ExternalId, Language
from pipeline.render import MessageView, Moment
from storage.ids import is_id
from storage.uploads import NewUpload

router = APIRouter(prefix="/v1", tags=["voice messages"])
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,60}"
ContentType = Annotated[str, StringConstraints(pattern=rf"^{_WORD}/{_WORD}(; ?{_WORD}={_WORD})?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$"), AfterValidator(str.lower)]


class NewDirect(BaseModel):
    size: int = Field(ge=0, lt=2**53, description="bytes; exactly as many must be put")
    content_type: ContentType
    sha256: Sha256 | None = None
    language: Language | None = None
    external_id: ExternalId | None = None


class DirectView(BaseModel):
    """`headers` must be sent as they are."""

    upload_id: str
    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: Moment


@router.post(
    "/threads/{thread_id}/voice-messages/direct",
    status_code=201,
    response_model=DirectView,
    responses=answers(
        "direct_unavailable", "no_audio", "too_large", "rate_limited", "idempotency_conflict", "idempotency_mismatch"
    ),
)
def begin(thread_id: str, body: NewDirect, request: Request, here: Here, user: ActingUser, key: Key = None) -> Response:
    """Where to PUT the recording. When it is there, complete the upload."""
    if here.direct is None:
        raise Problem("direct_unavailable", "clients can't reach the object store here: send the recording to the API")
    direct = here.direct
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user)
        if body.size == 0:
            raise Refused("no_audio", "the recording is empty")
        if body.size > here.ingest.max_bytes:
            raise too_large(here.ingest.max_bytes)
        new = _new_upload(thread_id, user, body)
        made = once(connection, request, user, key, body, lambda: Made(201, direct.begin(connection, new)))
        grant = direct.grant(connection, made.resource_id, user)
    view = DirectView(upload_id=made.resource_id, url=grant.url, headers=grant.headers, expires_at=grant.expires_at)
    return json_answer(view, made.status, made.headers)


@router.post(
    "/uploads/{upload_id}/complete",
    status_code=201,
    response_model=MessageView,
    responses=answers("direct_unavailable", "unsupported_format", "checksum_mismatch", "upload_expired"),
)
async def complete(upload_id: str, here: Here, user: ActingUser) -> Response:
    """Checks what was put and makes the message of it. Repeated, it gives the same message."""
    if here.direct is None:
        raise Problem("direct_unavailable", "there are no direct uploads here")
    if not is_id("upl", upload_id):
        raise not_found("upload")
    return await here.executor.run(_complete, here, here.direct, upload_id, user)


def _complete(here: Services, direct: Direct, upload_id: str, user: str) -> Response:
    done = direct.complete(upload_id, user)
    headers = {"Location": f"/v1/messages/{done.message.id}", **(REPLAYED if done.again else {})}
    return json_answer(here.renderer.message(done.message), 201, headers)


def _new_upload(thread_id: str, user: str, body: NewDirect) -> NewUpload:
    return NewUpload(
        user_id=user,
        method="direct",
        thread_id=thread_id,
        length=body.size,
        language=body.language,
        external_id=body.external_id,
        content_type=body.content_type,
        sha256=body.sha256,
    )
