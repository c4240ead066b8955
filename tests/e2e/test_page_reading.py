"""Transcripts on the page: every state, corrections, languages, downloads."""

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.browser import Visit
from tests.e2e.conftest import Visiting
from tests.e2e.people import SAMPLES, Person


def _choose(visitor: Visit, message: dict[str, object], action: str) -> None:
    bubble = visitor.bubble(message)
    bubble.get_by_role("button", name="More actions").click()
    bubble.get_by_role("button", name=action).click()


def test_a_rejected_recording_and_a_silent_one_are_shown_for_what_they_are(
    alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    damaged = (SAMPLES / "meeting.m4a").read_bytes()[:2000]
    broken, silent = bob.speak(thread, damaged, "room.m4a")
    visitor = visit(alice)
    visitor.open(thread)
    expect(visitor.bubble(broken)).to_contain_text("Recording rejected: the file is damaged.")
    expect(visitor.bubble(broken).get_by_role("button", name="Play")).to_have_count(0)
    expect(visitor.bubble(silent)).to_contain_text("Nobody speaks in this recording")
    expect(visitor.bubble(silent).get_by_role("button", name="Play")).to_be_enabled()


def test_a_demo_transcript_says_that_it_is_one(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "vertrag.mp3")
    visitor = visit(alice)
    visitor.open(thread)
    expect(visitor.bubble(spoken)).to_contain_text("Demo transcript")
    expect(visitor.bubble(spoken)).to_contain_text("German")
    assert visitor.bubble(spoken).locator(".text").get_attribute("lang") == "de"


def test_the_sender_corrects_what_was_understood(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    (spoken,) = alice.speak(thread, "stereo.wav")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    _choose(hers, spoken, "Correct text")
    hers.bubble(spoken).get_by_label("Corrected text").fill("Please review the slights.")
    hers.bubble(spoken).get_by_role("button", name="Save").click()
    for visitor in (hers, his):
        expect(visitor.bubble(spoken)).to_contain_text("Please review the slights.")
        expect(visitor.bubble(spoken)).to_contain_text("Corrected by the sender")
    his.step_into(spoken)
    expect(his.bubble(spoken).locator(".word")).to_have_text(["Please", "review", "the", "slights."])
    _choose(hers, spoken, "Correct text")
    back = hers.bubble(spoken).get_by_role("button", name="Back to the machine's text")
    field, below = hers.bubble(spoken).get_by_label("Corrected text").bounding_box(), back.bounding_box()
    assert field is not None
    assert below is not None
    assert field["y"] + field["height"] < below["y"]
    back.click()
    expect(his.bubble(spoken)).to_contain_text("Please review the slides.")


def test_a_message_is_transcribed_again_in_another_language(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    (spoken,) = alice.speak(thread, "stereo.wav")
    visitor = visit(alice)
    visitor.open(thread)
    _choose(visitor, spoken, "Transcribe again")
    visitor.bubble(spoken).get_by_label("Spoken language").select_option("Spanish")
    visitor.bubble(spoken).get_by_role("button", name="Transcribe again").click()
    expect(visitor.bubble(spoken)).to_contain_text("Spanish")
    assert alice.message(spoken["id"])["voice"]["transcript"]["version"] == 2
    _choose(visitor, spoken, "Versions")
    visitor.bubble(spoken).get_by_role("button", name="Show this one").click()
    expect(visitor.bubble(spoken)).to_contain_text("Please review the slides.")


def test_text_captions_and_sound_can_be_taken_along(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    visitor = visit(alice, permissions=["clipboard-read", "clipboard-write"])
    visitor.open(thread)
    saved = {}
    for action in ("Download text", "Download captions (VTT)", "Download captions (SRT)", "Download sound"):
        with visitor.page.expect_download() as download:
            _choose(visitor, spoken, action)
        saved[download.value.suggested_filename.removeprefix(str(spoken["id"]))] = Path(download.value.path())
    assert saved[".txt"].read_text().strip() == "Please review the slides."
    assert saved[".vtt"].read_text().startswith("WEBVTT")
    assert " --> " in saved[".srt"].read_text()
    assert saved[".m4a"].read_bytes()[4:8] == b"ftyp"
    _choose(visitor, spoken, "Copy text")
    expect(visitor.bubble(spoken)).to_contain_text("Copied.")
    assert visitor.page.evaluate("navigator.clipboard.readText()") == "Please review the slides."
