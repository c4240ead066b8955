"""The API under a real server on real storage. No worker: tests move a message on by the workers' own queries."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import assemble
from api.protocol import ProblemProtocol
from api.services import Services, make_services
from api.settings import ApiSettings
from ingest.settings import IngestSettings
from pipeline.playback import PlaybackSettings
from storage.objects import ObjectStore
from tests import stack
from tests.api.ready import Workers
from transcode import Media, TranscodeSettings, transcode

SAMPLES = Path(__file__).parent.parent.parent / "pipeline" / "samples"
SECRET = "a secret of the tests, long enough for HS256"


def token(user: str, scope: str = "", *, key: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    payload = {"sub": user, "scope": scope, "exp": time.time() + 600, **claims}
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, key, algorithm)


class Person(httpx.Client):
    """A client that calls as one user."""

    def __init__(self, url: str, name: str, scope: str = "", headers: dict[str, str] | None = None) -> None:
        authorization = {"Authorization": f"Bearer {token(name, scope)}"}
        super().__init__(base_url=url, headers=authorization | (headers or {}), timeout=30)
        self.name = name

    def say(self, thread: str, recording: bytes, **options: Any) -> dict[str, Any]:
        """The message made of this recording."""
        answer = self.post(f"/v1/threads/{thread}/voice-messages", content=recording, **options)
        assert answer.status_code == 201, answer.text
        message: dict[str, Any] = answer.json()
        return message


@dataclass
class Server:
    url: str
    services: Services
    rings: list[str]

    def person(self, name: str, scope: str = "", headers: dict[str, str] | None = None) -> Person:
        return Person(self.url, f"{name}-{secrets.token_hex(4)}", scope, headers)


@contextmanager
def serving(make: Callable[[str, list[str]], tuple[FastAPI, Services]]) -> Iterator[Server]:
    # asyncio switches Nagle's delay off only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    rings: list[str] = []
    app, services = make(url, rings)
    server = uvicorn.Server(uvicorn.Config(app, http=ProblemProtocol, log_level="warning", lifespan="on"))
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
        transcode=TranscodeSettings.model_validate(changes),
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
def alice(server: Server) -> Iterator[Person]:
    with server.person("alice") as person:
        yield person


@pytest.fixture
def bob(server: Server) -> Iterator[Person]:
    with server.person("bob") as person:
        yield person


@pytest.fixture
def admin(server: Server) -> Iterator[Person]:
    with server.person("root", "admin") as person:
        yield person


@pytest.fixture
def thread(alice: Person, bob: Person) -> str:
    """Alice's and Bob's."""
    answer = alice.post("/v1/threads", json={"participants": [bob.name]})
    assert answer.status_code == 201
    return str(answer.json()["id"])


@pytest.fixture(scope="session")
def recording() -> bytes:
    return (SAMPLES / "room.m4a").read_bytes()


@pytest.fixture(scope="session")
def media(recording: bytes, tmp_path_factory: pytest.TempPathFactory) -> Media:
    folder = tmp_path_factory.mktemp("media")
    source = folder / "recording"
    source.write_bytes(recording)
    return transcode(source, folder, TranscodeSettings(jail="weak"))


@pytest.fixture(scope="session")
def workers(server: Server, media: Media) -> Workers:
    return Workers(server.services, media)


@pytest.fixture
def message(alice: Person, thread: str, recording: bytes) -> str:
    """The id of a voice message that nobody has worked on."""
    return str(alice.say(thread, recording)["id"])


@pytest.fixture
def played(message: str, workers: Workers) -> str:
    """The id of a voice message that is ready and transcribed."""
    workers.finish(message)
    return message


def code_of(answer: httpx.Response) -> str:
    """The code of a problem; every refusal is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    return str(problem["code"])
