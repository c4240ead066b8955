"""The API, assembled in one place: `uvicorn api.app:create_app --factory`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware

from api import (
    direct,
    docs,
    events,
    health,
    jobs,
    messages,
    metrics,
    receipts,
    reprocess,
    search,
    signals,
    stream,
    threads,
    transcripts,
    tus,
    uploads,
    users,
    voices,
    web,
    webhooks,
)
from api.bare import Bare, BareRoute
from api.errors import ProblemView
from api.handlers import install
from api.hub import Hub
from api.middleware import BoundedBody, Observed
from api.services import Services, make_services
from api.settings import ApiSettings
from pipeline.playback import PlaybackSettings, ProxiedPlayback
from pipeline.rings import Ringer
from pipeline.settings import Settings

log = logging.getLogger(__name__)
_ROOMS = (
    uploads,
    voices,
    threads,
    messages,
    direct,
    transcripts,
    receipts,
    signals,
    search,
    events,
    webhooks,
    users,
    jobs,
    reprocess,
    health,
    metrics,
    docs,
)
_EXPOSED = [
    "Location",
    "Retry-After",
    "Idempotency-Replayed",
    "Accept-Ranges",
    "Content-Range",
    "Content-Length",
    "ETag",
    "WWW-Authenticate",
    *tus.EXPOSED,
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """From the environment when no settings are given. Connects to nothing until the first request."""
    settings = settings or Settings()
    ringer = Ringer(settings.pipeline.broker_url)
    services = make_services(
        api=ApiSettings(),
        ingest=settings.ingest,
        transcode=settings.transcode,
        storage=settings.storage,
        playback=PlaybackSettings(),
        ring=ringer.ring,
        ping_broker=ringer.ping,
    )
    return assemble(services, close=ringer.close)


def assemble(services: Services, close: Any = lambda: None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = services.api.api_threads
        hub = app.state.hub = Hub(services.database, services.renderer)
        with events.ending_with_the_server(hub):
            yield
        await hub.close()
        close()
        await services.short_intake.close()
        services.close()

    app = FastAPI(
        title="Earshot",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirect would repeat whatever Host the client sent.
        redirect_slashes=False,
        generate_unique_id_function=_name,
    )
    app.state.services = services
    install(app)
    app.include_router(voices.bare)
    for room in _ROOMS:
        app.include_router(room.router)
    if isinstance(services.playback, ProxiedPlayback):
        app.include_router(stream.router)
    app.include_router(web.page_router(services))
    app.add_middleware(Bare, routes=[*_bare(voices.bare), *_bare(uploads.router)])
    app.add_middleware(BoundedBody)
    app.add_middleware(tus.Tus)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=services.api.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
        max_age=3600,
    )
    app.add_middleware(Observed, requests=services.requests)
    _describe(app, str(services.api.public_url).rstrip("/"))
    return app


def _bare(router: APIRouter) -> list[BareRoute]:
    return [route for route in router.routes if isinstance(route, BareRoute)]


def _name(route: APIRoute) -> str:
    return route.name


def _describe(app: FastAPI, public_url: str) -> None:
    """OpenAPI that knows the one shape of all problems."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title, version=app.version, routes=app.routes, servers=[{"url": public_url}]
            )
            schemas = app.openapi_schema["components"]["schemas"]
            schemas["Problem"] = ProblemView.model_json_schema()
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
