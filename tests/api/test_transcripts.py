import pytest

from tests.api.conftest import Person, code_of
from tests.api.ready import NOTHING_SAID, SPOKEN, Workers


def test_a_transcript_is_read_as_json_text_and_captions(bob: Person, played: str) -> None:
    full = bob.get(f"/v1/messages/{played}/transcript").json()
    assert (full["state"], full["text"], full["machine_text"]) == ("completed", SPOKEN.text, SPOKEN.text)
    assert (full["language"], full["language_probability"], full["model"]) == ("en", 0.97, "micro")
    assert full["confidence"] == 0.88
    assert full["segments"][0]["words"][0] == {"start_ms": 100, "end_ms": 350, "text": "Can", "probability": 0.9}
    summary = bob.get(f"/v1/messages/{played}").json()["voice"]["transcript"]
    assert summary == {name: full[name] for name in summary}
    text = bob.get(f"/v1/messages/{played}/transcript", params={"format": "text"})
    assert (text.headers["content-type"], text.text.strip()) == ("text/plain; charset=utf-8", SPOKEN.text)
    vtt = bob.get(f"/v1/messages/{played}/transcript", params={"format": "vtt"})
    assert vtt.headers["content-type"].startswith("text/vtt")
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.100 --> ")
    srt = bob.get(f"/v1/messages/{played}/transcript", params={"format": "srt"})
    assert srt.text.startswith("1\n00:00:00,100 --> ")
    assert code_of(bob.get(f"/v1/messages/{played}/transcript", params={"format": "docx"})) == "invalid_request"


def test_there_is_no_text_before_it_was_made(bob: Person, message: str, workers: Workers) -> None:
    workers.make_ready(message)
    answer = bob.get(f"/v1/messages/{message}/transcript")
    assert (answer.status_code, code_of(answer)) == (409, "transcript_not_ready")
    assert code_of(bob.post(f"/v1/messages/{message}/transcripts", json={})) == "transcript_not_ready"


@pytest.mark.parametrize("wanted", ["json", "text", "vtt", "srt"])
def test_silence_is_an_empty_text(bob: Person, message: str, workers: Workers, wanted: str) -> None:
    workers.finish(message, NOTHING_SAID)
    answer = bob.get(f"/v1/messages/{message}/transcript", params={"format": wanted})
    assert answer.status_code == 200
    if wanted == "json":
        assert (answer.json()["state"], answer.json()["text"], answer.json()["segments"]) == ("no_speech", "", [])
    else:
        assert answer.text.strip() in ("", "WEBVTT")


def test_the_sender_corrects_the_text_and_the_machines_stays(alice: Person, bob: Person, played: str) -> None:
    correction = f"/v1/messages/{played}/transcript/correction"
    said = "Can we meet at four? Bring the maps."
    assert code_of(bob.put(correction, json={"text": said})) == "forbidden"
    answer = alice.put(correction, json={"text": said})
    assert answer.status_code == 200
    transcript = answer.json()["voice"]["transcript"]
    assert (transcript["text"], transcript["machine_text"], transcript["corrected"]) == (said, SPOKEN.text, True)
    full = bob.get(f"/v1/messages/{played}/transcript").json()
    assert (full["text"], full["corrected"]) == (said, True)
    assert "four?" in [word["text"] for segment in full["segments"] for word in segment["words"]]
    assert "four?" in bob.get(f"/v1/messages/{played}/transcript", params={"format": "vtt"}).text
    back = alice.delete(correction).json()["voice"]["transcript"]
    assert (back["text"], back["corrected"]) == (SPOKEN.text, False)


def test_a_rerun_makes_a_version_that_can_be_undone(alice: Person, bob: Person, played: str, workers: Workers) -> None:
    first = alice.get(f"/v1/messages/{played}").json()["voice"]["transcript"]["id"]
    answer = bob.post(f"/v1/messages/{played}/transcripts", json={"language": "DE"})
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["version"], answer.json()["active"]) == ("pending", 2, False)
    second = answer.json()["id"]
    assert code_of(bob.post(f"/v1/messages/{played}/transcripts")) == "transcript_not_ready"
    activate = f"/v1/messages/{played}/transcripts/{second}/activate"
    assert code_of(alice.post(activate)) == "transcript_not_ready"
    workers.transcribe(played, NOTHING_SAID)
    versions = bob.get(f"/v1/messages/{played}/transcripts").json()["items"]
    assert [(each["id"], each["active"], each["state"]) for each in versions] == [
        (second, False, "no_speech"),
        (first, True, "completed"),
    ]
    page = bob.get(f"/v1/messages/{played}/transcripts", params={"limit": 1}).json()
    assert page["items"] == versions[:1]
    rest = bob.get(f"/v1/messages/{played}/transcripts", params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert rest == {"items": versions[1:], "next_cursor": None}
    assert code_of(bob.post(activate)) == "forbidden"
    assert alice.post(activate).json()["voice"]["transcript"]["id"] == second
    undone = alice.post(f"/v1/messages/{played}/transcripts/{first}/activate")
    assert (undone.status_code, undone.json()["voice"]["transcript"]["text"]) == (200, SPOKEN.text)
    assert code_of(alice.post(f"/v1/messages/{played}/transcripts/tra_nothing/activate")) == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"language": "klingon"},
        {"language": "e"},
        {"model": "nobody-s"},
        {"model": "/etc"},
        {"model": "0" * 300},
        [],
        "de",
    ],
)
def test_a_rerun_that_can_not_be_done_as_asked_is_refused(alice: Person, played: str, body: object) -> None:
    assert code_of(alice.post(f"/v1/messages/{played}/transcripts", json=body)) == "invalid_request"


def test_a_rerun_may_name_a_model(alice: Person, played: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DEPLOYMENT", "local")
    answer = alice.post(f"/v1/messages/{played}/transcripts", json={"model": "micro"})
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
