"""The API under a real server on real storage. No worker: tests move a message on by the workers' own queries."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import jwt
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import assemble
from api.services import Services, make_services
from api.settings import ApiSettings
from ingest.settings import IngestSettings
from pipeline.playback import PlaybackSettings
from storage.objects import ObjectStore
from tests import stack

SECRET = "a secret of the tests, long enough for HS256"


def token(user: str, scope: str = "", *, key: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    payload = {"sub": user, "scope": scope, "exp": time.time() + 600, **claims}
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, key, algorithm)


@dataclass
class Server:
    url: str
    services: Services
    rings: list[str] = field(default_factory=list)

    def client(self, user: str, scope: str = "", **headers: str) -> httpx.Client:
        authorization = {"Authorization": f"Bearer {token(user, scope)}", **headers}
        return httpx.Client(base_url=self.url, headers=authorization, timeout=30)


@contextmanager
def serving(make: Callable[[str, list[str]], tuple[FastAPI, Services]]) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    rings: list[str] = []
    app, services = make(url, rings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        stack.wait_until(lambda: server.started)
        yield Server(url, services, rings)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def app_on(
    s3: stack.S3, database_url: str, public_url: str, rings: list[str], **changes: object
) -> tuple[FastAPI, Services]:
    storage = stack.storage_settings(s3, f"api-{secrets.token_hex(6)}", database_url)
    ObjectStore(storage).ensure_bucket()
    services = make_services(
        api=ApiSettings.model_validate({"jwt_secret": SECRET, "public_url": public_url, **changes}),
        ingest=IngestSettings.model_validate({"max_bytes": 1_000_000, "idle_s": 1, **changes}),
        storage=storage,
        playback=PlaybackSettings.model_validate(
            {"jwt_secret": SECRET, "public_url": public_url, "playback": "proxied", **changes}
        ),
        ring=rings.append,
        ping_broker=lambda: None,
    )
    return assemble(services), services


@pytest.fixture(scope="session")
def server(s3: stack.S3, fresh_database: Callable[[], str]) -> Iterator[Server]:
    """One API with proxied playback for all tests; each makes threads and people of its own."""
    with serving(lambda url, rings: app_on(s3, fresh_database(), url, rings)) as running:
        yield running


@pytest.fixture
def alice(server: Server) -> Iterator[httpx.Client]:
    with server.client(f"alice-{secrets.token_hex(4)}") as client:
        yield client


@pytest.fixture
def bob(server: Server) -> Iterator[httpx.Client]:
    with server.client(f"bob-{secrets.token_hex(4)}") as client:
        yield client
