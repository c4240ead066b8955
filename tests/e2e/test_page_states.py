"""Each state of a voice message shown for what it is, while the product really is in it."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import text

from pipeline.embedded import StackInfo
from storage.database import Database
from tests.e2e.accessibility import assert_accessible
from tests.e2e.conftest import Visiting
from tests.e2e.people import SAMPLES, Person

_HALFWAY = """bubble => bubble.shadowRoot.getAnimations().forEach((each) => {
  each.pause();
  each.currentTime = each.effect.getTiming().duration / 2;
})"""


def test_what_is_on_its_way_says_so_and_arrives_by_itself(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    visitor = visit(alice)
    visitor.open(thread)
    with _halted(stack, "speech"):
        with _halted(stack, "media"):
            sent = bob.send(thread, "stereo.wav")
            bubble = visitor.bubble(sent)
            expect(bubble).to_contain_text("waiting to be prepared")
            expect(bubble.get_by_role("button", name="Play")).to_be_disabled()
            expect(bubble.get_by_role("slider")).to_have_attribute("aria-disabled", "true")
        expect(bubble).to_contain_text("Transcribing…")
        bubble.get_by_role("button", name="Play").click()
        visitor.wait_for_sound()
    expect(bubble).to_contain_text("Please review the slides.")
    expect(bubble).not_to_contain_text("Transcribing…")


def test_a_failed_transcript_is_tried_again(stack: StackInfo, alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    _change(
        stack, "UPDATE transcripts SET state='failed', text=NULL, error_code='internal' WHERE message_id=:id", spoken
    )
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    expect(bubble).to_contain_text("The transcript failed.")
    expect(bubble.get_by_role("button", name="Play")).to_be_enabled()
    bubble.get_by_role("button", name="Try again").click()
    expect(bubble).to_contain_text("Please review the slides.")
    expect(bubble.get_by_role("button", name="Try again")).to_have_count(0)


def test_a_voice_that_failed_blames_us_and_not_the_file(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    _change(stack, "UPDATE voices SET state='failed', renditions='[]', transcript_id=NULL WHERE message_id=:id", spoken)
    hers, his = visit(alice), visit(bob)
    for visitor in (hers, his):
        visitor.open(thread)
        bubble = visitor.bubble(spoken)
        expect(bubble).to_contain_text("failed on our side. It is kept, and nothing is lost.")
        expect(bubble.get_by_role("button", name="Play")).to_have_count(0)
    expect(hers.bubble(spoken).get_by_role("button", name="More actions")).to_be_hidden()
    his.bubble(spoken).get_by_role("button", name="More actions").click()
    expect(his.bubble(spoken).get_by_role("button", name="Delete for everybody…")).to_be_visible()


def test_an_unclear_language_and_unsure_words_are_marked(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    _change(stack, "UPDATE transcripts SET language_probability=0.41, confidence=0.38 WHERE message_id=:id", spoken)
    visitor = visit(alice)
    page = visitor.page

    def doubtful(route: Route) -> None:
        answer = route.fetch()
        full = answer.json()
        full["segments"][0]["words"][1]["probability"] = 0.2
        route.fulfill(response=answer, json=full)

    page.route("**/transcript?format=json", doubtful)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    expect(bubble).to_contain_text("Perhaps English (41 %)")
    expect(bubble).to_contain_text("Uncertain text (38 %)")
    bubble.locator(".text").hover()
    expect(bubble.locator(".word.unsure")).to_have_text("review")


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1200, "light")])
def test_axe_finds_nothing_in_any_state(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting, width: int, scheme: str
) -> None:
    thread = bob.start_thread("alice")
    clear, unsure, pending, failed, broken = bob.speak(thread, *["stereo.wav"] * 5)
    bob.speak(thread, "room.m4a", (SAMPLES / "meeting.m4a").read_bytes()[:2000])
    _change(stack, "UPDATE transcripts SET language_probability=0.41, confidence=0.38 WHERE message_id=:id", unsure)
    _change(stack, "UPDATE transcripts SET state='pending', text=NULL WHERE message_id=:id", pending)
    _change(stack, "UPDATE transcripts SET state='failed', text=NULL WHERE message_id=:id", failed)
    _change(stack, "UPDATE voices SET state='failed', renditions='[]', transcript_id=NULL WHERE message_id=:id", broken)
    visitor = visit(alice, viewport={"width": width, "height": 1_600}, color_scheme=scheme)
    page = visitor.open(thread)
    expect(visitor.bubble(clear).get_by_role("button", name=re.compile("^Play .*, not heard$"))).to_be_visible()
    expect(visitor.bubble(clear).get_by_role("img", name="Not heard")).to_be_visible()
    expect(visitor.bubble(pending)).to_contain_text("Transcribing…")
    # What breathes is at its faintest in between.
    visitor.bubble(pending).evaluate(_HALFWAY)
    assert_accessible(page)


def test_a_recording_that_is_no_longer_kept_is_not_offered(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    _change(stack, "UPDATE voices SET renditions='[]' WHERE message_id=:id", spoken)
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    expect(bubble).to_contain_text("The recording is no longer kept.")
    expect(bubble.get_by_role("button", name=re.compile("^Play "))).to_be_disabled()
    expect(bubble.get_by_role("img", name="Not heard")).to_be_hidden()
    bubble.get_by_role("button", name="More actions").click()
    expect(bubble.get_by_role("button", name="Download text")).to_be_visible()
    expect(bubble.get_by_role("button", name="Download sound")).to_have_count(0)


def test_a_recording_that_is_let_go_before_it_is_played_holds_nothing_up(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    visitor = visit(alice)
    page = visitor.open(thread)
    bubble = visitor.bubble(spoken)

    def let_go(route: Route) -> None:
        # Only now: a page that looked again before the click would already know.
        _change(stack, "UPDATE voices SET renditions='[]' WHERE message_id=:id", spoken)
        route.fulfill(status=404)

    page.route("**/v1/playback/**", let_go)
    bubble.get_by_role("button", name="Play").click()
    expect(bubble.get_by_role("button", name="Play")).to_be_disabled()
    expect(bubble).to_contain_text("The recording is no longer kept.")
    # An announcement waits as long as something sounds.
    bob.write(thread, "Never mind.")
    expect(page.locator("#announcer")).to_have_text("bob: Never mind.")
    visitor.forgive("404")


def _change(stack: StackInfo, statement: str, message: dict[str, object]) -> None:
    database = Database(stack.environment["EARSHOT_DATABASE_URL"])
    with database.transaction() as connection:
        connection.execute(text(statement), {"id": message["id"]})
    database.close()


@contextmanager
def _halted(stack: StackInfo, part: str) -> Iterator[None]:
    """A worker that does nothing, as one that is busy elsewhere."""
    pid = json.loads((stack.data_dir / "stack.json").read_text())["parts"][part]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
