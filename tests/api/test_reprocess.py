"""Runs over HTTP: begun, watched, steered and refused. The walker and a worker of the batch lane are real."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from pipeline import reprocess_walker
from pipeline.cli import app
from pipeline.commands.errors import UserError
from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.leases import LeaseKeeper
from pipeline.rings import Ringer
from pipeline.settings import PipelineSettings, Settings
from storage.ids import new_id
from storage.jobs import Lane
from tests.api.conftest import SECRET, Person, Server, code_of
from tests.api.listening import Listener
from tests.api.ready import Workers
from tests.faults.proxy import Proxy
from tests.pipeline.test_reprocess import Says
from transcode import TranscodeSettings
from transcribe import TranscribeSettings

Json = dict[str, Any]
BETTER = "Can we meet at four? Bring the new maps."


@pytest.fixture
def worker(server: Server, redis_url: str) -> Iterator[Context]:
    """Of the batch lane, with a better model."""
    services = server.services
    context = Context(
        settings=Settings(
            storage=services.storage,
            ingest=services.ingest,
            transcode=TranscodeSettings(jail="weak"),
            transcribe=TranscribeSettings(model="micro"),
            pipeline=PipelineSettings(broker_url=redis_url, lease_s=30, deployment="local"),
        ),
        database=services.database,
        store=services.store,
        ringer=Ringer(redis_url),
        leases=LeaseKeeper(services.database, 30),
    )
    context.engine = Says(BETTER)
    yield context
    context.leases.close()
    context.ringer.close()


@pytest.fixture
def go_on(worker: Context) -> Callable[[], None]:
    """All that the walker and the worker do in a moment."""

    def move() -> None:
        for _ in range(2):
            reprocess_walker.walk(worker)
            Drain(worker, Lane.BATCH)("speech")
            Drain(worker, Lane.BATCH)("media")

    return move


@pytest.fixture
def said(alice: Person, thread: str, recording: bytes, workers: Workers) -> list[str]:
    """Two messages of one thread, transcribed."""
    made = [str(alice.say(thread, recording)["id"]) for _ in range(2)]
    for message in made:
        workers.finish(message)
    return made


def begin(admin: Person, thread: str, **body: Any) -> Json:
    answer = admin.post("/v1/reprocess", json={"kind": "transcribe", "filter": {"thread_id": thread}, **body})
    assert answer.status_code == 201, answer.text
    run: Json = answer.json()
    return run


def test_a_run_is_begun_followed_and_reverted(
    admin: Person, alice: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    run = begin(admin, thread)
    assert run["id"].startswith("rep_")
    assert (run["state"], run["total"], run["done"]) == ("running", 2, 0)
    go_on()
    done = admin.get(f"/v1/reprocess/{run['id']}").json()
    numbers = {name: done[name] for name in ("state", "total", "done", "changed", "failed", "eta_s")}
    assert numbers == {"state": "completed", "total": 2, "done": 2, "changed": 2, "failed": 0, "eta_s": 0}
    assert alice.get(f"/v1/messages/{said[0]}").json()["voice"]["transcript"]["text"] == BETTER
    [hit, *_] = alice.get("/v1/search", params={"q": "four"}).json()["items"]
    assert hit["message"]["id"] in said
    answer = admin.post(f"/v1/reprocess/{run['id']}/revert")
    assert (answer.status_code, answer.json()["state"]) == (202, "reverting")
    go_on()
    reverted = admin.get(f"/v1/reprocess/{run['id']}").json()
    assert (reverted["state"], reverted["reverted"]) == ("reverted", 2)
    assert "at three" in alice.get(f"/v1/messages/{said[0]}").json()["voice"]["transcript"]["text"]
    versions = alice.get(f"/v1/messages/{said[0]}/transcripts").json()["items"]
    assert [version["active"] for version in versions] == [False, True]


def test_the_same_run_is_not_begun_twice_but_again_when_it_is_over(
    admin: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    run = begin(admin, thread)
    again = admin.post("/v1/reprocess", json={"kind": "transcribe", "filter": {"thread_id": thread}})
    assert (again.status_code, again.json()["id"]) == (200, run["id"])
    go_on()
    assert begin(admin, thread)["id"] != run["id"]


def test_an_idempotency_key_gives_the_same_run_for_good(
    admin: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    headers = {"Idempotency-Key": new_id("key")}
    body = {"kind": "transcribe", "filter": {"thread_id": thread}}
    first = admin.post("/v1/reprocess", json=body, headers=headers)
    go_on()
    second = admin.post("/v1/reprocess", json=body, headers=headers)
    assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])
    assert second.headers["Idempotency-Replayed"] == "true"
    other = admin.post("/v1/reprocess", json={**body, "limit": 1}, headers=headers)
    assert code_of(other) == "idempotency_mismatch"


def test_a_dry_run_counts_and_begins_nothing(admin: Person, thread: str, said: list[str]) -> None:
    before = admin.get("/v1/reprocess").json()["items"]
    answer = admin.post(
        "/v1/reprocess",
        json={"kind": "transcribe", "filter": {"thread_id": thread}, "dry_run": True, "rate_per_s": 0.5},
    )
    estimate = answer.json()
    assert (answer.status_code, estimate["total"], estimate["total_estimated"]) == (200, 2, False)
    assert (estimate["id"], estimate["state"], estimate["done"]) == (None, "dry_run", 0)
    assert estimate["audio_hours"] > 0
    assert estimate["eta_s"] >= 4
    assert admin.get("/v1/reprocess").json()["items"] == before


def test_a_run_is_paused_resumed_and_cancelled(
    admin: Person, alice: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    path = f"/v1/reprocess/{begin(admin, thread)['id']}"
    assert admin.post(f"{path}/pause").json()["state"] == "paused"
    go_on()
    assert admin.get(path).json()["done"] == 0
    assert admin.post(f"{path}/resume").json()["state"] == "running"
    assert admin.post(f"{path}/cancel").json()["state"] == "cancelled"
    go_on()
    assert "at three" in alice.get(f"/v1/messages/{said[0]}").json()["voice"]["transcript"]["text"]
    for change in ("pause", "resume"):
        assert code_of(admin.post(f"{path}/{change}")) == "run_is_over"
    assert admin.post(f"{path}/cancel").status_code == 200


def test_operators_hear_how_a_run_goes_and_nobody_else_does(
    server: Server, admin: Person, alice: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    with Listener(admin) as operator, Listener(alice) as listener:
        run = begin(admin, thread)
        go_on()
        heard = [event for event in operator.wait_for(2) if event.data["id"] == run["id"]]
        listener.wait_for(2)
    assert {event.type for event in heard} == {"reprocess.progress"}
    assert heard[-1].data == admin.get(f"/v1/reprocess/{run['id']}").json()
    assert listener.types() == ["transcript.completed", "transcript.completed"]
    with Listener(admin, operator.heard[0].id) as resumed:
        assert [event.id for event in resumed.wait_for(1)][:1] == [operator.heard[1].id]


def test_a_running_run_is_in_the_metrics(admin: Person, thread: str, said: list[str]) -> None:
    run = begin(admin, thread)
    lines = admin.get("/metrics").text.splitlines()
    assert f'earshot_reprocess_total{{kind="transcribe",run="{run["id"]}"}} 2.0' in lines
    admin.post(f"/v1/reprocess/{run['id']}/cancel")
    assert run["id"] not in admin.get("/metrics").text


def test_what_was_not_changed_is_listed_with_its_reason(
    admin: Person, thread: str, said: list[str], worker: Context, go_on: Callable[[], None]
) -> None:
    worker.engine = Says("")
    path = f"/v1/reprocess/{begin(admin, thread)['id']}"
    go_on()
    run = admin.get(path).json()
    assert (run["refused"], run["changed"]) == (2, 0)
    assert [(each["reason"], each["messages"]) for each in run["reasons"]] == [("blank_over_text", 2)]
    first = admin.get(f"{path}/items", params={"outcome": "refused", "limit": 1}).json()
    rest = admin.get(f"{path}/items", params={"outcome": "refused", "cursor": first["next_cursor"]}).json()
    assert [item["message_id"] for item in first["items"] + rest["items"]] == sorted(said)
    assert rest["next_cursor"] is None
    assert admin.get(f"{path}/items", params={"outcome": "failed"}).json()["items"] == []


def test_renditions_can_not_be_reverted(
    admin: Person, alice: Person, thread: str, said: list[str], go_on: Callable[[], None]
) -> None:
    before = alice.get(f"/v1/messages/{said[0]}").json()["voice"]["transcript"]
    run = begin(admin, thread, kind="transcode")
    go_on()
    done = admin.get(f"/v1/reprocess/{run['id']}").json()
    assert (done["state"], done["done"], done["failed"]) == ("completed", 2, 0)
    assert alice.get(f"/v1/messages/{said[0]}").json()["voice"]["transcript"] == before
    assert code_of(admin.post(f"/v1/reprocess/{run['id']}/revert")) == "not_revertible"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "translate"},
        {"kind": "transcribe", "model": "nobody-s"},
        {"kind": "transcribe", "model": ""},
        {"kind": "transcribe", "policy": "never"},
        {"kind": "transcribe", "rate_per_s": -1},
        {"kind": "transcribe", "rate_per_s": 0},
        {"kind": "transcribe", "limit": 0},
        {"kind": "transcribe", "colour": "red"},
        {"kind": "transcribe", "filter": {"colour": "red"}},
        {"kind": "transcribe", "filter": {"ids": []}},
        {"kind": "transcribe", "filter": {"ids": ["msg_1", "' OR 1=1"]}},
        {"kind": "transcribe", "filter": {"state": "pending"}},
        {"kind": "transcribe", "filter": {"confidence_below": 2}},
        {"kind": "transcribe", "filter": {"created_after": "yesterday"}},
        {"kind": "transcribe", "filter": {"created_after": "2026-01-01T00:00:00"}},
        {"kind": "transcribe", "filter": {"created_after": "2026-02-01T00:00Z", "created_before": "2026-01-01T00:00Z"}},
        {"kind": "transcribe", "filter": {"thread_id": "everywhere"}},
        {"kind": "transcode", "model": "micro"},
        {"kind": "transcode", "policy": "always"},
        {"kind": "transcode", "language": "de"},
    ],
)
def test_a_run_that_can_not_be_meant_is_refused(admin: Person, body: Json) -> None:
    answer = admin.post("/v1/reprocess", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "invalid_request")


def test_runs_are_for_operators(alice: Person, admin: Person, thread: str, said: list[str]) -> None:
    path = f"/v1/reprocess/{begin(admin, thread)['id']}"
    assert code_of(alice.post("/v1/reprocess", json={"kind": "transcribe"})) == "forbidden"
    assert code_of(alice.get("/v1/reprocess")) == "forbidden"
    for change in ("pause", "resume", "cancel", "revert"):
        assert code_of(alice.post(f"{path}/{change}")) == "forbidden"
        for unknown in (new_id("rep"), "rep_1", thread):
            assert code_of(admin.post(f"/v1/reprocess/{unknown}/{change}")) == "not_found"
    assert code_of(alice.get(path)) == "forbidden"
    admin.post(f"{path}/cancel")


@pytest.fixture
def earshot(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("EARSHOT_PUBLIC_URL", server.url)
    monkeypatch.setenv("EARSHOT_JWT_SECRET", SECRET)
    return lambda *arguments: CliRunner().invoke(app, ["reprocess", *arguments])


def test_the_command_line_begins_steers_and_reports(
    earshot: Callable[..., Result],
    thread: str,
    said: list[str],
    worker: Context,
    go_on: Callable[[], None],
    tmp_path: Path,
) -> None:
    (tmp_path / "ids").write_text("\n".join(said) + "\n")
    ids = ("--ids", str(tmp_path / "ids"))
    dry = earshot("transcribe", *ids, "--dry-run")
    assert "2 messages" in dry.output
    begun = earshot("transcribe", *ids, "--created-after", "2020-01-01", "--rate", "1000", "--no-wait")
    assert begun.exit_code == 0, begun.output
    run_id = begun.output.split()[-1]
    for change, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert earshot(change, run_id).output.split() == [run_id, "is", state]
    worker.engine = Says("")
    run_id = earshot("transcribe", "--thread", thread, "--no-wait").output.split()[-1]
    go_on()
    assert "completed" in earshot("report", run_id).output
    watched = earshot("watch", run_id)
    assert watched.exit_code == 0, watched.output
    assert "blank_over_text" in watched.output
    report = json.loads(earshot("report", run_id, "--json").output)
    assert [item["message_id"] for item in report["items"]["refused"]] == sorted(said)
    assert run_id in earshot("list").output
    assert earshot("revert", run_id, "--no-wait").exit_code == 0


def test_watching_goes_on_through_outages_of_the_api(
    server: Server,
    earshot: Callable[..., Result],
    thread: str,
    said: list[str],
    go_on: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = earshot("transcribe", "--thread", thread, "--no-wait").output.split()[-1]
    proxy = Proxy(urlsplit(server.url).port or 0)
    monkeypatch.setenv("EARSHOT_PUBLIC_URL", f"http://127.0.0.1:{proxy.port}")
    with ThreadPoolExecutor(1) as terminal:
        watching = terminal.submit(earshot, "watch", run_id)
        for fault in (proxy.refuse, lambda: proxy.fail(1.0, seed=7)):
            time.sleep(1.5)
            fault()
            time.sleep(1.5)
            assert not watching.done()
            proxy.mend()
        go_on()
        watched = watching.result(timeout=30)
    proxy.close()
    assert watched.exit_code == 0, watched.exception
    assert "2 of 2" in watched.output


def test_a_list_of_runs_fits_a_narrow_terminal(
    earshot: Callable[..., Result], admin: Person, thread: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = begin(admin, thread, kind="transcode")
    listed = earshot("list").output
    assert run["id"] in listed
    assert "transcode" in listed
    admin.post(f"/v1/reprocess/{run['id']}/cancel")


def test_the_command_line_says_what_is_wrong(earshot: Callable[..., Result], tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text(f"{new_id('msg')}\nnot an id\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for arguments, words in (
        (["transcribe", "--ids", str(garbage)], "line 2"),
        (["transcribe", "--ids", str(tmp_path / "bytes")], "can't read"),
        (["transcribe", "--ids", str(tmp_path / "nowhere")], "can't read"),
        (["transcribe", "--created-after", "yesterday"], "a time such as"),
        (["transcribe", "--policy", "never"], "if-not-worse"),
        (["transcribe", "--thread", "everywhere"], "must be the id of a thread"),
        (["transcribe", "--rate", "-1"], "greater than 0"),
        (["transcribe", "--model", "nobody-s"], "no model is called 'nobody-s'"),
        (["pause", new_id("rep")], "no such run"),
    ):
        result = earshot(*arguments)
        assert result.exit_code != 0
        said = str(result.exception) if isinstance(result.exception, UserError) else result.output
        assert words in " ".join(said.replace("│", " ").split()), said
