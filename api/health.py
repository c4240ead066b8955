"""What anybody may ask: is it up, is it ready, what are the limits."""

import logging

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api import models
from api.answers import json_answer
from api.errors import documented
from api.services import Here
from ingest.settings import IngestSettings
from storage.threads import MAX_PARTICIPANTS

log = logging.getLogger(__name__)
router = APIRouter(tags=["service"])
_S3_PATIENCE_S = 2.0


class HealthView(BaseModel):
    status: str


class ReadyView(BaseModel):
    status: str
    degraded: list[str]


class RateLimitsView(BaseModel):
    """Of one user; `open_uploads` are those that take more than one request."""

    open_uploads: int
    messages_per_hour: int
    bytes_per_hour: int


class LimitsView(BaseModel):
    max_bytes: int
    max_duration_ms: int
    max_participants: int
    max_text_characters: int
    max_page: int
    rate_limits: RateLimitsView | None


@router.get("/healthz", response_model=HealthView)
async def healthz() -> Response:
    """This process answers; nothing else is asked."""
    return json_answer(HealthView(status="ok"))


@router.get("/readyz", response_model=ReadyView, responses=documented(["storage_unavailable"]))
def readyz(here: Here) -> Response:
    """503 without Postgres or S3. Without the broker messages are still taken, only later worked on."""
    here.database.ping()
    here.store.ping(_S3_PATIENCE_S)
    degraded = [] if _broker_answers(here) else ["broker"]
    return json_answer(ReadyView(status="degraded" if degraded else "ok", degraded=degraded))


@router.get("/v1/limits", response_model=LimitsView)
async def limits(here: Here) -> Response:
    return json_answer(
        LimitsView(
            max_bytes=here.ingest.max_bytes,
            max_duration_ms=round(here.transcode.max_duration_s * 1000),
            max_participants=MAX_PARTICIPANTS,
            max_text_characters=models.MAX_TEXT,
            max_page=100,
            rate_limits=_rate_limits(here.ingest),
        )
    )


def _rate_limits(settings: IngestSettings) -> RateLimitsView | None:
    if not settings.rate_limits:
        return None
    return RateLimitsView(
        open_uploads=settings.open_uploads,
        messages_per_hour=settings.hourly_messages,
        bytes_per_hour=settings.hourly_bytes,
    )


def _broker_answers(here: Here) -> bool:
    try:
        here.ping_broker()
    except Exception as error:
        log.warning("the broker does not answer: %s", type(error).__name__)
        return False
    return True
