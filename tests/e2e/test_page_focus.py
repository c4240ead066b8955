"""Where the keyboard is after something has gone: never nowhere, and never taken away from somebody who writes."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.browser import RECORD
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person


def test_who_writes_while_a_thread_loads_goes_on_writing(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    bob.write(thread, "Hello")
    visitor = visit(alice)
    page, held = visitor.page, list[Route]()
    page.route("**/messages?limit=50", lambda route: held.append(route))
    with page.expect_request("**/messages?limit=50"):
        page.get_by_role("link", name=re.compile(f"{thread.title}\\b")).click()
    field = page.get_by_label("Message", exact=True)
    field.press_sequentially("Good ")
    held[0].continue_()
    expect(page.get_by_role("list", name="Messages").get_by_text("Hello")).to_be_visible()
    page.keyboard.type("morning")
    expect(field).to_have_value("Good morning")


def test_transcribing_again_leads_back_to_the_menu(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    (spoken,) = alice.speak(thread, "stereo.wav")
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    _choose(bubble, "Transcribe again…")
    bubble.get_by_role("button", name="Transcribe again", exact=True).press("Enter")
    expect(bubble.get_by_role("button", name="More actions")).to_be_focused()


def test_deleting_leads_to_the_message_beside_and_at_last_to_the_heading(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    spoken = alice.speak(thread, "stereo.wav", "code.caf", "room.m4a")
    visitor = visit(alice)
    page = visitor.open(thread)
    # The next one, where there is none the one before.
    for message, left in zip((spoken[1], spoken[2], spoken[0]), (spoken[2], spoken[0], None), strict=True):
        bubble = visitor.bubble(message)
        _choose(bubble, "Delete for everybody…")
        bubble.get_by_role("button", name="Delete", exact=True).press("Enter")
        expect(bubble).to_have_count(0)
        beside = page.locator(f'li[data-id="{left["id"]}"]') if left else page.get_by_role("heading", name=thread.title)
        expect(beside).to_be_focused()


@pytest.mark.parametrize("recordings", [1, 2])
def test_discarding_leads_to_what_else_waits_or_to_the_field(alice: Person, visit: Visiting, recordings: int) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page = visitor.open(thread)
    for _ in range(recordings):
        page.get_by_role("button", name=RECORD).click()
        page.wait_for_timeout(1_200)
        visitor.open(other)
        visitor.open(thread)
    waiting = page.get_by_role("list", name="Not sent yet").get_by_role("listitem")
    expect(waiting).to_have_count(recordings)
    waiting.first.get_by_role("button", name="Discard").press("Enter")
    expect(waiting).to_have_count(recordings - 1)
    expect(page.get_by_label("Message", exact=True) if recordings == 1 else waiting).to_be_focused()


def test_sending_now_keeps_the_keyboard_where_it_is_and_leads_to_the_field_at_last(
    alice: Person, visit: Visiting
) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page, held = visitor.open(thread), list[Route]()
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(1_200)
    visitor.open(other)
    visitor.open(thread)
    page.route("**/v1/uploads", lambda route: held.append(route))
    waiting = page.get_by_role("list", name="Not sent yet").get_by_role("listitem")
    waiting.get_by_role("button", name="Send now").press("Enter")
    expect(waiting).to_contain_text("sending")
    expect(waiting).to_be_focused()
    held[0].continue_()
    expect(waiting).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def _choose(bubble: Locator, action: str) -> None:
    bubble.get_by_role("button", name="More actions").press("Enter")
    bubble.get_by_role("button", name=action).press("Enter")
