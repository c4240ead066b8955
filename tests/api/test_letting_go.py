"""A person is forgotten, and what was kept long enough goes."""

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Text, select, text

from api.services import Services
from pipeline.context import Context
from pipeline.leases import LeaseKeeper
from pipeline.letting_go import Retention, RetentionSettings
from pipeline.reaper import Reaper
from pipeline.rings import Ringer
from pipeline.settings import PipelineSettings, Settings
from storage import intents, jobs, messages, people, plays, retention, search, threads, uploads
from storage.errors import NoThread
from storage.keys import message_prefix
from storage.objects import ObjectStore
from storage.tables import erasures, metadata, search_entries, transcripts, voices
from storage.tables import plays as plays_table
from storage.uploads import NewUpload
from tests import stack
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


def test_no_trace_of_a_person_stays(
    server: Server, alice: Person, bob: Person, admin: Person, thread: str, recording: bytes, context: Context
) -> None:
    """Receipts in the log and under way to webhooks, names of files, and what we remember of calls."""
    message = bob.say(thread, recording)["id"]
    alice.post(f"/v1/threads/{thread}/read", json={"message_id": message})
    alice.post(f"/v1/messages/{message}/played", json={"position_ms": 1, "completed": True})
    alice.post(f"/v1/threads/{thread}/messages", json={"text": "hi"}, headers={"Idempotency-Key": "mine"})
    alice.say(thread, recording, headers={"Idempotency-Key": "mine too"})
    named = {"thread_id": thread, "filename": "my voice.m4a"}
    described = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": described}
    assert alice.post("/v1/uploads", headers=tus).status_code == 201
    direct = NewUpload(alice.name, "direct", thread, 9, external_id="ours", sha256="0" * 64)
    with server.services.database.transaction() as connection:
        upload = uploads.create(connection, direct).id
        uploads.url_given(connection, upload)
    assert len(traces(server, alice.name)) > 5
    admin.delete(f"/v1/users/{alice.name}")
    assert wait_for_report(admin, alice.name, Reaper(context))["removed"]["uploads"] == 2
    # Nobody can put anything at the URL any more when the rest of it goes; the rows say just whose the ids were.
    assert traces(server, alice.name) == {"threads.created_by", "messages.sender_id", "uploads.user_id"}
    with server.services.database.transaction() as connection:
        left = uploads.get(connection, upload, alice.name, "direct")
    assert left is not None
    assert (left.external_id, left.sha256, left.expired) == (None, None, True)


def test_what_is_being_sent_when_a_person_is_forgotten_goes_too(
    server: Server, alice: Person, bob: Person, admin: Person, thread: str, context: Context
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with server.services.database.transaction() as sending:
            assert threads.has_member(sending, thread, alice.name, staying=True)
            admin.delete(f"/v1/users/{alice.name}")
            forgotten = pool.submit(wait_for_report, admin, alice.name, Reaper(context))
            stack.wait_until(lambda: waiting_for_a_lock(server))
            messages.add_text(sending, thread, alice.name, "just before")
        assert forgotten.result()["removed"]["messages"] == 1
    assert bob.get(f"/v1/threads/{thread}/messages").json()["items"] == []
    assert code_of(alice.post(f"/v1/threads/{thread}/messages", json={"text": "after"})) == "not_found"


def test_what_was_put_when_a_person_is_forgotten_is_waited_for(
    server: Server,
    alice: Person,
    admin: Person,
    thread: str,
    recording: bytes,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It lies in the store already, and can't become a message any more."""
    put, keys = ObjectStore.put_soon, []

    def forget() -> None:
        admin.delete(f"/v1/users/{alice.name}")
        for _ in range(3):
            Reaper(context).let_go()
        assert admin.get(f"/v1/users/{alice.name}/erasure").json()["state"] == "running"

    async def put_and_forget(store: ObjectStore, key: str, *arguments: Any, **details: Any) -> bool:
        done = await put(store, key, *arguments, **details)
        keys.append(key)
        monkeypatch.undo()
        await asyncio.to_thread(forget)
        return done

    monkeypatch.setattr(ObjectStore, "put_soon", put_and_forget)
    assert code_of(alice.post(f"/v1/threads/{thread}/voice-messages", content=recording)) == "not_found"
    for _ in range(3):
        Reaper(context).let_go()
    assert admin.get(f"/v1/users/{alice.name}/erasure").json()["state"] == "running"
    Reaper(context).sweep_intents()
    assert [server.services.store.head(key) for key in keys] == [None]
    wait_for_report(admin, alice.name, Reaper(context))


@pytest.mark.parametrize("deed", ["create", "mark"])
def test_what_is_done_in_the_name_of_a_person_who_is_forgotten_goes_too(
    server: Server,
    bob: Person,
    admin: Person,
    thread: str,
    played: str,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    deed: str,
) -> None:
    """An upload that begins, a play that is told: their transaction is waited for, and nothing comes after it."""
    module = uploads if deed == "create" else plays
    do, headers = getattr(module, deed), {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Idempotency-Key": "once"}
    with ThreadPoolExecutor(1) as pool:
        forgotten: list[Future[dict[str, Any]]] = []

        def forgotten_meanwhile(*given: Any, **details: Any) -> Any:
            done = do(*given, **details)
            admin.delete(f"/v1/users/{bob.name}")
            forgotten.append(pool.submit(wait_for_report, admin, bob.name, Reaper(context)))
            stack.wait_until(lambda: waiting_for_a_lock(server))
            return done

        monkeypatch.setattr(module, deed, forgotten_meanwhile)
        if deed == "create":
            named = {"Upload-Metadata": f"thread_id {base64.b64encode(thread.encode()).decode()}"}
            assert bob.post("/v1/uploads", headers=headers | named).status_code == 201
        else:
            told = bob.post(f"/v1/messages/{played}/played", json={"position_ms": 5, "completed": True})
            assert told.status_code == 204
        assert forgotten[0].result()["removed"]["uploads" if deed == "create" else "plays"] == 1
    assert traces(server, bob.name) == set()
    with server.services.database.transaction() as connection, pytest.raises(NoThread):
        uploads.create(connection, NewUpload(bob.name, "tus", thread, 9))


@pytest.mark.parametrize("deed", ["correct", "played", "transcribe"])
def test_what_is_written_of_a_message_that_is_deleted_goes_too(
    server: Server, alice: Person, thread: str, played: str, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    """A correction has its words in the search, a play its row: a deletion that did not see them would leave them."""
    module, name = {"correct": (search, "refresh"), "played": (plays, "mark"), "transcribe": (jobs, "add")}[deed]
    do, path = getattr(module, name), f"/v1/messages/{played}"
    with server.services.database.transaction() as connection:
        connection.execute(
            text("UPDATE transcripts SET state='no_speech', text='' WHERE message_id = :id"), {"id": played}
        )
        connection.execute(text("DELETE FROM search_entries WHERE message_id = :id"), {"id": played})
    with ThreadPoolExecutor(1) as pool:
        deleted: list[Future[httpx.Response]] = []

        def deleted_meanwhile(*given: Any, **details: Any) -> Any:
            done = do(*given, **details)
            deleted.append(pool.submit(alice.delete, path))
            stack.wait_until(lambda: waiting_for_a_lock(server))
            return done

        monkeypatch.setattr(module, name, deleted_meanwhile)
        if deed == "correct":
            answer = alice.put(f"{path}/transcript/correction", json={"text": "my secret words"})
        elif deed == "played":
            answer = alice.post(f"{path}/played", json={"position_ms": 5, "completed": True})
        else:
            answer = alice.post(f"{path}/transcripts", json={})
        assert answer.is_success
        assert deleted[0].result().status_code == 204
    with server.services.database.transaction() as connection:
        for table in (search_entries, plays_table, transcripts, voices):
            assert connection.execute(select(table).where(table.c.message_id == played)).all() == []
        query = text("SELECT state FROM jobs WHERE message_id = :id AND state NOT IN ('done', 'cancelled')")
        assert connection.execute(query, {"id": played}).all() == []


def test_texts_have_no_objects_to_wait_for(
    server: Server, alice: Person, thread: str, message: str, context: Context
) -> None:
    text_message = alice.post(f"/v1/threads/{thread}/messages", json={"text": "short-lived"}).json()["id"]
    for each in (text_message, message):
        assert alice.delete(f"/v1/messages/{each}").status_code == 204
    with server.services.database.transaction() as connection:
        query = select(erasures.c.message_id).where(erasures.c.message_id.in_([text_message, message]))
        assert connection.execute(query).scalars().all() == [message]


def test_a_person_of_many_messages_is_forgotten_step_by_step(
    alice: Person, admin: Person, thread: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_AT_ONCE", 2)
    for number in range(5):
        alice.post(f"/v1/threads/{thread}/messages", json={"text": str(number)})
    admin.delete(f"/v1/users/{alice.name}")
    assert wait_for_report(admin, alice.name, Reaper(context))["removed"]["messages"] == 5


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


def test_what_was_let_go_is_swept_before_more_is(
    server: Server, played: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's sweep may fall an hour behind: by then it trusts no intent any more."""
    monkeypatch.setattr(intents, "_MANY", 1)
    before = objects(server.services, played)
    with server.services.database.transaction() as connection:
        intents.give_up(connection, {"messages/none/original/none.bin": "msg_none"})
    retention_of_all = Retention(RetentionSettings.model_validate(dict.fromkeys(KINDS, MOMENT)))
    retention_of_all.go_on(context)
    Reaper(context).sweep_intents()
    assert objects(server.services, played) == before
    retention_of_all.go_on(context)
    Reaper(context).sweep_intents()
    assert len(objects(server.services, played)) < len(before)


def test_nothing_goes_without_a_setting(bob: Person, played: str, context: Context) -> None:
    before = bob.get(f"/v1/messages/{played}").json()
    Retention(RetentionSettings()).go_on(context)
    assert bob.get(f"/v1/messages/{played}").json() == before


@pytest.mark.parametrize("kind", sorted(retention.STEPS))
def test_what_is_young_stays(server: Server, bob: Person, played: str, kind: str) -> None:
    before = objects(server.services, played)
    with server.services.database.transaction() as connection:
        # Ids follow time: behind this message there is nothing older, whatever other tests have left.
        assert retention.STEPS[kind](connection, timedelta(hours=1), played[:-1]) is None
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
        return bool(connection.execute(text("SELECT 1 FROM intents WHERE expires_at < now() LIMIT 1")).first())


def traces(server: Server, user: str) -> set[str]:
    """The columns of all tables that name the person, but for the report of the erasure itself."""
    found = set()
    with server.services.database.transaction() as connection:
        for table in metadata.sorted_tables:
            for column in table.c:
                if isinstance(column.type, Text) and table.name != "user_erasures":
                    query = select(column).where(column.contains(user, autoescape=True)).limit(1)
                    if connection.execute(query).first() is not None:
                        found.add(f"{table.name}.{column.name}")
    return found


def waiting_for_a_lock(server: Server) -> bool:
    with server.services.database.transaction() as connection:
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(connection.execute(query).scalar_one())


def wait_for_report(admin: Person, user: str, reaper: Reaper) -> dict[str, Any]:
    """What an API has reserved and does not use it lets go soon."""

    def is_done() -> bool:
        for step in (reaper.sweep_reservations, reaper.erase, reaper.tend_uploads, reaper.let_go):
            step()
        return bool(admin.get(f"/v1/users/{user}/erasure").json()["state"] == "done")

    stack.wait_until(is_done)
    report: dict[str, Any] = admin.get(f"/v1/users/{user}/erasure").json()
    return report


def objects(services: Services, message: str) -> list[str]:
    prefix = message_prefix(services.storage.s3_prefix, message)
    return sorted(found.key for found in services.store.list(prefix))
