"""Searching: what people said is found by words, beginnings, phrases and names, and only by who may read it."""

from collections.abc import Callable
from typing import Any

import pytest

from api.excerpts import BEGIN, END
from storage import search
from tests.api.conftest import Person, Server, code_of
from tests.api.ready import NOTHING_SAID, Workers
from transcribe import Segment, Transcript, Word

Speak = Callable[..., str]


@pytest.fixture(autouse=True, params=["few", "many"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers whether the viewer's own messages are gone through or, as if there were many, everybody's."""
    if request.param == "many":
        for name, value in (("_FEW", 0), ("_NEWEST", 2), ("_ENOUGH", 1), ("_FURTHER_BACK", 3)):
            monkeypatch.setattr(search, name, value)


@pytest.fixture
def speak(alice: Person, thread: str, recording: bytes, workers: Workers) -> Speak:
    def speak(text: str, language: str = "en") -> str:
        message = str(alice.say(thread, recording)["id"])
        workers.finish(message, spoken(text, language))
        return message

    return speak


def spoken(text: str, language: str) -> Transcript:
    """Half a second a word."""
    words = tuple(Word(500 * n, 500 * n + 400, word, 0.9) for n, word in enumerate(text.split()))
    return Transcript("completed", language, 0.9, text, (Segment(0, words[-1].end_ms, text, words),), "micro")


def test_a_word_is_found_at_its_moment(bob: Person, speak: Speak) -> None:
    message = speak("We found the old maps in the attic.")
    (hit,) = find(bob, "maps")
    assert hit["message"] == bob.get(f"/v1/messages/{message}").json()
    assert hit["start_ms"] == 2000
    assert hit["snippet"] == f"We found the old {BEGIN}maps{END} in the attic."


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("en", "She was running late", "run"),
        ("en", "We meet tomorrow", "meeting"),
        ("de", "Die alten Häuser am Fluss", "haus"),
        ("de", "Wir treffen uns in der Straße", "STRASSE"),
        ("es", "Ayer compramos las entradas", "entrada"),
        ("fr", "Nous avons mangé des pommes", "pomme"),
        ("en", "Zoë and Müller were there", "zoe muller"),
        ("en", "Ask O'Brien or Anne-Marie", "o'brien"),
        ("en", "Ask O'Brien or Anne-Marie", "anne-marie"),
        ("en", "Ask O'Brien or Anne-Marie", "marie"),
        ("en", "A remarkable coincidence", "coinc remark"),
        ("en", "Can we meet at three?", '"we meet at"'),
        ("en", "To be or not to be", "to be"),
        ("ja", "明日の会議は三時です", "会議"),
        ("tlh", "Unknown tongues are searched as they are", "tongue"),
        ("en", "Call 555 0199 at once", "0199"),
        ("en", "a.*b|c & !d", "b|c"),
    ],
)
def test_words_are_found_in_their_language(bob: Person, speak: Speak, language: str, text: str, query: str) -> None:
    speak(text, language)
    (hit,) = find(bob, query)
    assert BEGIN in hit["snippet"]
    assert hit["snippet"].replace(BEGIN, "").replace(END, "") == text


@pytest.mark.parametrize("query", ['"meet we"', "meet nobody", "eet", '"we meet"x'])
def test_what_was_not_said_is_not_found(bob: Person, speak: Speak, query: str) -> None:
    speak("Can we meet at three?")
    assert find(bob, query) == []


def test_a_stemmer_works_for_its_own_language_only(bob: Person, speak: Speak) -> None:
    speak("Das ist die Sache", "de")
    speak("The cat dies", "en")
    assert [hit["message"]["voice"]["transcript"]["language"] for hit in find(bob, "dying")] == ["en"] * len(
        find(bob, "dying")
    )
    assert [hit["message"]["voice"]["transcript"]["language"] for hit in find(bob, "sachen")] == ["de"]


def test_text_and_voice_come_newest_first_in_pages(alice: Person, bob: Person, thread: str, speak: Speak) -> None:
    expected = [speak("first anchor")]
    for number in range(3):
        sent = alice.post(f"/v1/threads/{thread}/messages", json={"text": f"anchor {number}"})
        expected.append(sent.json()["id"])
    found: list[str] = []
    cursor = None
    while True:
        page = bob.get("/v1/search", params={"q": "anchor", "limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [hit["message"]["id"] for hit in page["items"]]
        assert all(hit["start_ms"] is None for hit in page["items"] if hit["message"]["kind"] == "text")
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == expected[::-1]


def test_a_correction_is_found_and_what_it_replaced_is_not(alice: Person, bob: Person, speak: Speak) -> None:
    message = speak("Please call Mister Tailor about the boat")
    alice.put(
        f"/v1/messages/{message}/transcript/correction", json={"text": "Please call Mister Taylor about the boat"}
    )
    (hit,) = find(bob, "taylor")
    assert hit["start_ms"] == 1500
    assert find(bob, "boat")[0]["start_ms"] == 3000
    assert find(bob, "tailor") == []
    alice.delete(f"/v1/messages/{message}/transcript/correction")
    assert len(find(bob, "tailor")) == 1
    assert find(bob, "taylor") == []


def test_what_is_deleted_is_gone_at_once(alice: Person, bob: Person, thread: str, speak: Speak) -> None:
    said = speak("ephemeral words")
    written = alice.post(f"/v1/threads/{thread}/messages", json={"text": "ephemeral too"}).json()["id"]
    assert len(find(bob, "ephemeral")) == 2
    for message in (said, written):
        alice.delete(f"/v1/messages/{message}")
    assert find(bob, "ephemeral") == []


def test_nobody_finds_a_word_of_a_thread_they_are_not_in(
    server: Server, alice: Person, bob: Person, thread: str, speak: Speak
) -> None:
    speak("a confidential plan")
    with server.person("carol") as carol:
        assert find(carol, "confidential") == []
        assert code_of(carol.get("/v1/search", params={"q": "plan", "thread_id": thread})) == "not_found"
        alice.post(f"/v1/threads/{thread}/participants", json={"user_id": carol.name})
        assert find(carol, "confidential") == []
        speak("a confidential sequel")
        assert len(find(carol, "confidential")) == 1
        bob.delete(f"/v1/threads/{thread}/participants/{bob.name}")
        assert find(bob, "confidential") == []


def test_one_thread_can_be_searched(alice: Person, bob: Person, thread: str) -> None:
    other = alice.post("/v1/threads", json={"participants": [bob.name]}).json()["id"]
    for place in (thread, other):
        alice.post(f"/v1/threads/{place}/messages", json={"text": "where is it?"})
    assert len(find(bob, "where")) == 2
    assert [hit["message"]["thread_id"] for hit in find(bob, "where", thread_id=other)] == [other]


def test_what_people_write_does_not_look_like_a_mark(alice: Person, bob: Person, thread: str) -> None:
    alice.post(f"/v1/threads/{thread}/messages", json={"text": f"a {BEGIN}forged{END} mark <mark>here</mark>"})
    (hit,) = find(bob, "mark")
    assert hit["snippet"] == f"a �forged� {BEGIN}mark{END} <{BEGIN}mark{END}>here</{BEGIN}mark{END}>"


def test_a_long_text_is_cut_around_what_was_found(alice: Person, bob: Person, thread: str) -> None:
    text = "before " * 300 + "needle " + "after " * 300
    alice.post(f"/v1/threads/{thread}/messages", json={"text": text})
    snippet = find(bob, "needle")[0]["snippet"]
    assert f"before {BEGIN}needle{END} after" in snippet
    assert snippet[0] == snippet[-1] == "…"
    assert len(snippet) < 250


def test_texts_of_nothing_but_matches_keep_nobody_waiting(bob: Person, thread: str) -> None:
    """Thirty of them, within the patience of a client."""
    for _ in range(30):
        bob.post(f"/v1/threads/{thread}/messages", json={"text": "a " * 5000})
    assert len(find(bob, "a", limit=100)) == 30


def test_silence_is_not_found(alice: Person, bob: Person, thread: str, recording: bytes, workers: Workers) -> None:
    workers.finish(alice.say(thread, recording)["id"], NOTHING_SAID)
    assert find(bob, "null") == []


@pytest.mark.parametrize("query", ["", " ", ".*", "&|!()", "'", '"', '""', "\\", ":*", "\0", "a\0b", "x" * 201, "😀"])
def test_a_query_without_a_word_is_refused(bob: Person, query: str) -> None:
    assert code_of(bob.get("/v1/search", params={"q": query})) == "invalid_request"


@pytest.mark.parametrize(
    "query", ["'a:*", "a & | b", "(((a", "a\\", "<->", "a <-> b", "!a", "a'b\\'c:*D", "_", "a" * 200]
)
def test_an_odd_query_does_no_harm(bob: Person, thread: str, query: str) -> None:
    assert bob.get("/v1/search", params={"q": query}).status_code in (200, 422)


def test_odd_pages_are_refused(bob: Person) -> None:
    for params in ({"limit": 0}, {"limit": -1}, {"limit": 10**30}, {"cursor": "x"}, {"thread_id": "thr_x"}, {}):
        answer = bob.get("/v1/search", params=params if params == {} else {"q": "word", **params})
        assert code_of(answer) in ("invalid_request", "not_found")


def find(person: Person, query: str, **params: Any) -> list[dict[str, Any]]:
    answer = person.get("/v1/search", params={"q": query, **params})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_what_a_person_heard_where_the_machine_did_not_is_found(
    alice: Person, bob: Person, thread: str, recording: bytes, workers: Workers
) -> None:
    message = str(alice.say(thread, recording)["id"])
    workers.finish(message, NOTHING_SAID)
    assert (
        alice.put(f"/v1/messages/{message}/transcript/correction", json={"text": "A whispered secret"}).status_code
        == 200
    )
    (hit,) = find(bob, "secret")
    assert hit["start_ms"] == 0
