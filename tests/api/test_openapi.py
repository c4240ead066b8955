"""The OpenAPI document says what really happens: generated requests, valid and not, find nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import assemble
from api.services import make_services
from api.settings import ApiSettings
from ingest.settings import IngestSettings
from pipeline.playback import PlaybackSettings
from storage import events, webhooks
from storage.settings import StorageSettings
from tests.api.conftest import SECRET, Person, Server, token
from tests.api.ready import Workers
from transcode import TranscodeSettings

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# The server's own word on what is no HTTP request at all; it never reaches the app.
NOT_HTTP = b"Invalid HTTP request received."
# Path parameters that lead somewhere.
KNOWN: dict[str, str] = {}


def document() -> dict[str, Any]:
    """The app is assembled without connecting to anything."""
    storage = StorageSettings.model_validate({"database_url": "postgresql+psycopg://unused"})
    services = make_services(
        api=ApiSettings.model_validate({"jwt_secret": SECRET}),
        ingest=IngestSettings(),
        transcode=TranscodeSettings(),
        storage=storage,
        playback=PlaybackSettings.model_validate({"jwt_secret": SECRET, "playback": "proxied"}),
        ring=lambda _: None,
        ping_broker=lambda: None,
    )
    return assemble(services).openapi()


@schemathesis.serializer("audio/*")
def as_it_is(context: Any, value: Any) -> Any:
    return value


schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def person(server: Server) -> Iterator[Person]:
    with server.person("inspector", "admin") as person:
        yield person


@pytest.fixture(scope="module", autouse=True)
def known(server: Server, person: Person, workers: Workers, recording: bytes) -> None:
    thread = person.post("/v1/threads", json={"participants": []}).json()["id"]
    message = person.say(thread, recording)["id"]
    workers.finish(message)
    transcript = person.get(f"/v1/messages/{message}").json()["voice"]["transcript"]["id"]
    webhook = person.post("/v1/webhooks", json={"url": "https://example.org/"}).json()["id"]
    person.post(f"/v1/threads/{thread}/messages", json={"text": "told of"})
    with server.services.database.transaction() as connection:
        webhooks.fan_out(connection, events.arrange(connection).last)
    delivery = person.get(f"/v1/webhooks/{webhook}/deliveries").json()["items"][0]["id"]
    KNOWN.update(thread_id=thread, message_id=message, transcript_id=transcript, name="m4a.m4a")
    KNOWN.update(webhook_id=webhook, delivery_id=delivery, user_id=person.name)


@schema.exclude(path=["/metrics", "/v1/events"]).parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_call_answers_as_documented(case: schemathesis.Case[Any], server: Server, person: Person) -> None:
    if case.method != "DELETE" and len(str(case.body)) % 4:
        case.path_parameters.update({name: KNOWN.get(name, value) for name, value in case.path_parameters.items()})
    if len(case.headers) % 4:
        case.headers["Earshot-User"] = person.name
        case.headers["Authorization"] = f"Bearer {token(person.name, 'admin service')}"
    answer = case.call(base_url=server.url)
    if answer.content != NOT_HTTP:
        case.validate_response(answer, checks=CHECKS)
