"""What a notification says of a message."""

import pytest

from tests.api.conftest import Person
from tests.api.ready import NOTHING_SAID, Workers


def test_a_voice_message_says_how_long_it_is_and_what_was_said(
    alice: Person, bob: Person, message: str, workers: Workers
) -> None:
    assert preview(bob, message) == "Voice message"
    workers.make_ready(message)
    length = preview(bob, message)
    assert length.startswith("Voice message, 0:")
    workers.transcribe(message)
    assert preview(bob, message) == f"{length}: Can we meet at three? Bring the maps."
    alice.put(f"/v1/messages/{message}/transcript/correction", json={"text": "Can we eat at three?"})
    assert preview(bob, message) == f"{length}: Can we eat at three?"


def test_silence_says_how_long_it_is(bob: Person, message: str, workers: Workers) -> None:
    workers.finish(message, NOTHING_SAID)
    assert preview(bob, message).startswith("Voice message, 0:")
    assert preview(bob, message).count(":") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Hello\n  there", "Hello there"), ("word " * 50, "word " * 19 + "word…"), ("x" * 300, "x" * 99 + "…")],
)
def test_a_text_is_one_short_line(alice: Person, thread: str, text: str, expected: str) -> None:
    sent = alice.post(f"/v1/threads/{thread}/messages", json={"text": text}).json()
    assert sent["preview"] == expected


def preview(person: Person, message: str) -> str:
    return str(person.get(f"/v1/messages/{message}").json()["preview"])
