"""A person is forgotten, and what was kept long enough goes."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from api.services import Services
from pipeline.context import Context
from pipeline.leases import LeaseKeeper
from pipeline.letting_go import Retention, RetentionSettings
from pipeline.reaper import Reaper
from pipeline.rings import Ringer
from pipeline.settings import PipelineSettings, Settings
from storage import intents, retention
from storage.keys import message_prefix
from tests.api.conftest import Person, Server, code_of
from tests.api.ready import Workers

KINDS = {"originals_days", "speech_audio_days", "renditions_days", "transcripts_days"}
MOMENT = 1e-9


@pytest.fixture
def context(server: Server) -> Iterator[Context]:
    here = server.services
    settings = Settings(storage=here.storage, ingest=here.ingest, pipeline=PipelineSettings(broker_url="memory://"))
    leases = LeaseKeeper(here.database, 30)
    yield Context(settings, here.database, here.store, Ringer(settings.pipeline.broker_url), leases)
    leases.close()


def test_a_person_is_forgotten(
    server: Server, alice: Person, bob: Person, admin: Person, played: str, thread: str, context: Context
) -> None:
    written = alice.post(f"/v1/threads/{thread}/messages", json={"text": "unforgettable"}).json()["id"]
    kept = bob.post(f"/v1/threads/{thread}/messages", json={"text": "mine stays"}).json()["id"]
    alice.post(f"/v1/threads/{thread}/read", json={"message_id": kept})
    assert bob.get(f"/v1/messages/{kept}").json()["receipts"]["read_by"] == [alice.name]
    assert objects(server.services, played)

    asked = admin.delete(f"/v1/users/{alice.name}")
    assert (asked.status_code, asked.json()["state"]) == (202, "running")
    report = wait_for_report(admin, alice.name, Reaper(context))
    assert report["removed"] | {"uploads": 0} == {
        "messages": 2,
        "voices": 1,
        "transcripts": 1,
        "plays": 0,
        "memberships": 1,
        "uploads": 0,
    }
    for message in (played, written):
        assert code_of(bob.get(f"/v1/messages/{message}")) == "not_found"
    assert bob.get("/v1/search", params={"q": "unforgettable"}).json()["items"] == []
    assert objects(server.services, played) == []
    assert bob.get(f"/v1/messages/{kept}").json()["receipts"]["read_by"] == []
    assert bob.get(f"/v1/threads/{thread}").json()["participants"] == [bob.name]
    assert code_of(alice.get(f"/v1/threads/{thread}")) == "not_found"


def test_forgetting_again_begins_again(admin: Person, alice: Person, thread: str, context: Context) -> None:
    admin.delete(f"/v1/users/{alice.name}")
    first = wait_for_report(admin, alice.name, Reaper(context))
    assert admin.delete(f"/v1/users/{alice.name}").json()["requested_at"] > first["requested_at"]
    assert wait_for_report(admin, alice.name, Reaper(context))["removed"]["memberships"] == 0


def test_forgetting_is_for_the_host_and_operators(alice: Person, bob: Person, admin: Person) -> None:
    assert code_of(alice.delete(f"/v1/users/{bob.name}")) == "forbidden"
    assert code_of(alice.delete(f"/v1/users/{alice.name}")) == "forbidden"
    assert code_of(alice.get(f"/v1/users/{alice.name}/erasure")) == "forbidden"
    assert code_of(admin.get("/v1/users/nobody-asked/erasure")) == "not_found"
    assert code_of(admin.delete("/v1/users/" + "x" * 129)) == "not_found"
    assert code_of(admin.delete("/v1/users/a%00b")) == "not_found"


def test_nothing_goes_without_a_setting(bob: Person, played: str, context: Context) -> None:
    before = bob.get(f"/v1/messages/{played}").json()
    Retention(RetentionSettings()).go_on(context)
    assert bob.get(f"/v1/messages/{played}").json() == before


@pytest.mark.parametrize("kind", sorted(retention.STEPS))
def test_what_is_young_stays(server: Server, bob: Person, played: str, kind: str) -> None:
    before = objects(server.services, played)
    with server.services.database.transaction() as connection:
        assert retention.STEPS[kind](connection, timedelta(hours=1), "") is None
    assert objects(server.services, played) == before


def test_each_kind_goes_by_itself(server: Server, bob: Person, played: str, thread: str, context: Context) -> None:
    before = objects(server.services, played)
    let_go(context, originals_days=MOMENT)
    assert len(objects(server.services, played)) == len(before) - 1
    let_go(context, speech_audio_days=MOMENT)
    assert len(objects(server.services, played)) == len(before) - 2
    message = bob.get(f"/v1/messages/{played}").json()
    assert (len(message["voice"]["renditions"]), message["voice"]["transcript"]["state"]) == (2, "completed")
    let_go(context, renditions_days=MOMENT)
    assert bob.get(f"/v1/messages/{played}").json()["voice"]["renditions"] == []
    assert code_of(bob.get(f"/v1/messages/{played}/audio")) == "not_found"
    let_go(context, transcripts_days=MOMENT)
    assert objects(server.services, played) == []
    message = bob.get(f"/v1/messages/{played}").json()
    assert (message["voice"]["state"], message["voice"]["transcript"]) == ("ready", None)
    assert bob.get("/v1/search", params={"q": "maps", "thread_id": thread}).json()["items"] == []
    assert code_of(bob.get(f"/v1/messages/{played}/transcript")) == "transcript_not_ready"


def test_what_is_not_worked_on_yet_keeps_its_original(
    server: Server, bob: Person, message: str, workers: Workers, context: Context
) -> None:
    let_go(context, **dict.fromkeys(KINDS, MOMENT))
    assert len(objects(server.services, message)) == 1


def let_go(context: Context, **days: float) -> None:
    """Other tests' messages go too: nobody looks at them any more."""
    Retention(RetentionSettings.model_validate(days)).go_on(context)
    while dead_intents(context):
        Reaper(context).sweep_intents()


def dead_intents(context: Context) -> bool:
    with context.database.transaction() as connection:
        return bool(intents.expired(connection, limit=1))


def wait_for_report(admin: Person, user: str, reaper: Reaper) -> dict[str, Any]:
    for _ in range(20):
        reaper.erase()
        reaper.let_go()
        report: dict[str, Any] = admin.get(f"/v1/users/{user}/erasure").json()
        if report["state"] == "done":
            return report
    pytest.fail(f"still {report}")


def objects(services: Services, message: str) -> list[str]:
    prefix = message_prefix(services.storage.s3_prefix, message)
    return sorted(found.key for found in services.store.list(prefix))
