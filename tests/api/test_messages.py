from tests import stack
from tests.api.conftest import Person, Server, code_of
from tests.api.ready import Workers


def test_text_and_voice_come_in_one_order_newest_first(alice: Person, bob: Person, thread: str, message: str) -> None:
    said = bob.post(f"/v1/threads/{thread}/messages", json={"text": "heard\nyou  ", "external_id": "theirs-1"})
    assert said.status_code == 201
    text = said.json()
    assert (text["kind"], text["text"], text["voice"]) == ("text", "heard\nyou  ", None)
    assert (text["sender_id"], text["external_id"]) == (bob.name, "theirs-1")
    last = alice.post(f"/v1/threads/{thread}/messages", json={"text": "good"}).json()["id"]
    page = alice.get(f"/v1/threads/{thread}/messages", params={"limit": 2}).json()
    assert [item["id"] for item in page["items"]] == [last, text["id"]]
    alice.post(f"/v1/threads/{thread}/messages", json={"text": "arrives meanwhile"})
    rest = alice.get(f"/v1/threads/{thread}/messages", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == [message]
    assert rest["next_cursor"] is None


def test_a_fresh_voice_message_says_what_it_does_not_know_yet(
    server: Server, alice: Person, thread: str, recording: bytes
) -> None:
    server.rings.clear()
    answer = alice.post(
        f"/v1/threads/{thread}/voice-messages",
        params={"language": "pt-BR", "external_id": "ours-7"},
        content=recording,
    )
    assert answer.status_code == 201
    message = answer.json()
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert alice.get(answer.headers["location"]).json() == message
    assert (message["kind"], message["text"], message["external_id"]) == ("voice", None, "ours-7")
    voice = message["voice"]
    transcript = voice.pop("transcript")
    assert voice == {
        "state": "received",
        "error": None,
        "duration_ms": None,
        "waveform": None,
        "loudness_lufs": None,
        "renditions": [],
    }
    assert (transcript["state"], transcript["text"], transcript["version"]) == ("pending", None, 1)
    assert server.rings == ["media"]
    assert code_of(alice.get(f"/v1/messages/{message['id']}/audio")) == "voice_not_ready"
    assert code_of(alice.get(f"/v1/messages/{message['id']}/waveform")) == "voice_not_ready"
    assert code_of(alice.get(f"/v1/messages/{message['id']}/transcript")) == "voice_not_ready"


def test_a_rejected_message_says_why_to_its_sender(alice: Person, message: str, workers: Workers) -> None:
    workers.reject(message, "too_long", "61 s, at most 60 s are allowed")
    voice = alice.get(f"/v1/messages/{message}").json()["voice"]
    assert voice["state"] == "rejected"
    assert voice["error"] == {"code": "too_long", "message": "61 s, at most 60 s are allowed"}
    assert voice["transcript"] is None
    refused = alice.get(f"/v1/messages/{message}/audio")
    assert (refused.status_code, code_of(refused)) == (409, "voice_not_ready")
    assert "61 s" in refused.json()["detail"]


def test_a_message_is_deleted_with_all_its_objects(
    server: Server, alice: Person, bob: Person, thread: str, played: str
) -> None:
    url = alice.get(f"/v1/messages/{played}").json()["voice"]["renditions"][0]["url"]
    assert bob.get(url).status_code == 200
    assert _objects(server, played)
    assert code_of(bob.delete(f"/v1/messages/{played}")) == "forbidden"
    for _ in range(2):
        assert alice.delete(f"/v1/messages/{played}").status_code == 204
    stack.wait_until(lambda: not _objects(server, played))
    for path in ("", "/audio", "/waveform", "/transcript", "/transcripts"):
        assert code_of(bob.get(f"/v1/messages/{played}{path}")) == "not_found"
    assert code_of(bob.get(url)) == "not_found"
    assert code_of(bob.post(f"/v1/messages/{played}/played", json={"position_ms": 1})) == "not_found"
    assert code_of(bob.delete(f"/v1/messages/{played}")) == "not_found"
    assert bob.get(f"/v1/threads/{thread}/messages").json()["items"] == []
    assert bob.get(f"/v1/threads/{thread}").json()["last_message"] is None


def test_operators_and_the_host_application_may_delete_strangers_may_not(
    server: Server, alice: Person, admin: Person, thread: str, recording: bytes
) -> None:
    ids = [alice.say(thread, recording)["id"] for _ in range(2)]
    with server.person("eve") as eve, server.person("backend", "service") as backend:
        assert code_of(eve.delete(f"/v1/messages/{ids[0]}")) == "not_found"
        assert backend.delete(f"/v1/messages/{ids[0]}").status_code == 204
        assert backend.delete(f"/v1/messages/{ids[0]}").status_code == 204
    assert admin.delete(f"/v1/messages/{ids[1]}").status_code == 204


def test_a_dead_job_is_listed_and_retried_by_operators_only(
    alice: Person, admin: Person, message: str, workers: Workers
) -> None:
    job_id = workers.give_up(message)
    assert alice.get(f"/v1/messages/{message}").json()["voice"]["state"] == "failed"
    assert code_of(alice.get("/v1/jobs")) == "forbidden"
    assert code_of(alice.post(f"/v1/jobs/{job_id}/retry")) == "forbidden"
    dead = admin.get("/v1/jobs", params={"state": "dead"}).json()["items"]
    assert [job["reason"] for job in dead if job["id"] == job_id] == ["it broke"]
    revived = admin.post(f"/v1/jobs/{job_id}/retry")
    assert (revived.status_code, revived.json()["state"]) == (200, "queued")
    assert alice.get(f"/v1/messages/{message}").json()["voice"]["state"] == "received"
    assert code_of(admin.post(f"/v1/jobs/{job_id}/retry")) == "job_not_dead"
    assert code_of(admin.post("/v1/jobs/job_unknown/retry")) == "not_found"
    workers.finish(message)


def test_jobs_are_listed_page_by_page(admin: Person, alice: Person, thread: str, recording: bytes) -> None:
    sent = [alice.say(thread, recording)["id"] for _ in range(3)]
    seen: list[str] = []
    params: dict[str, str | int] = {"state": "queued", "limit": 2}
    while len(seen) < 3:
        page = admin.get("/v1/jobs", params=params).json()
        seen += [job["message_id"] for job in page["items"]]
        params["cursor"] = page["next_cursor"]
    assert seen[:3] == sent[::-1]


def _objects(server: Server, message: str) -> list[str]:
    services = server.services
    return [found.key for found in services.store.list(f"{services.storage.s3_prefix}/{message}/")]
