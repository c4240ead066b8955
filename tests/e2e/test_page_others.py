"""What others do, seen while they do it; and oneself on another device."""

import re

from playwright.sync_api import expect

from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

# The page's questions about an open thread take their time.
SLOW_LINE = """
const ask = window.fetch;
window.fetch = async (url, ...rest) => {
  if (String(url).includes("/messages?limit=30")) await new Promise((resolve) => setTimeout(resolve, 2000));
  return ask(url, ...rest);
};
"""


def test_somebody_who_types_is_seen_until_it_is_said(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    field = his.page.get_by_label("Message", exact=True)
    field.press_sequentially("On my")
    expect(hers.page.locator(".activity")).to_have_text("bob is typing…")
    expect(hers.page.get_by_role("link", name=re.compile(thread.title))).to_contain_text("bob is typing…")
    expect(hers.page.locator("#announcer")).to_have_text("bob is typing…")
    field.press("Enter")
    expect(hers.page.locator(".activity")).to_be_hidden()
    expect(hers.page.get_by_role("link", name=re.compile(thread.title))).to_contain_text("On my")
    expect(his.page.locator(".activity")).to_be_hidden()


def test_somebody_who_records_is_seen_as_long_as_it_lasts(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    his.page.get_by_role("button", name="Record a voice message").click()
    expect(hers.page.locator(".activity")).to_have_text("bob is recording…")
    his.page.keyboard.press("Escape")
    # Nobody tells that it has ended: it is no longer told.
    expect(hers.page.locator(".activity")).to_be_hidden()
    expect(hers.page.get_by_role("link", name=re.compile(thread.title))).to_contain_text("No messages yet")


def test_what_somebody_does_last_is_told(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob", "carol")
    hers = visit(alice)
    hers.open(thread)
    # What is told before somebody listens is not repeated to them.
    hers.wait_for_events()
    bob.signal(thread, "recording")
    expect(hers.page.locator(".activity")).to_have_text("bob is recording…")
    bob.signal(thread, "typing")
    expect(hers.page.locator(".activity")).to_have_text("bob is typing…")


def test_nothing_is_announced_over_the_sound(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "meeting.m4a")
    hers = visit(alice)
    hers.open(thread)
    announcer = hers.page.locator("#announcer")
    hers.bubble(spoken).get_by_role("button", name="Play").click()
    hers.wait_for_sound()
    hers.wait_for_events()
    bob.signal(thread, "recording")
    bob.write(thread, "Did you hear it?")
    expect(hers.page.get_by_role("list", name="Messages")).to_contain_text("Did you hear it?")
    expect(announcer).to_be_empty()
    hers.bubble(spoken).get_by_role("button", name="Pause").click()
    # Whoever was recording meanwhile has ended.
    expect(announcer).to_have_text("bob: Did you hear it?")


def test_another_device_goes_on_where_one_stopped(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "meeting.m4a")
    desk, laptop = visit(alice), visit(alice)
    desk.open(thread)
    laptop.open(thread)
    desk.bubble(spoken).get_by_role("button", name="Play").click()
    desk.wait_for_sound(1.5)
    desk.bubble(spoken).get_by_role("button", name="Pause").click()
    expect(laptop.bubble(spoken).get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    laptop.bubble(spoken).get_by_role("button", name="Play").click()
    laptop.wait_for_sound(1.5)
    # It went there.
    assert laptop.sounding()[0]["heard"] < 1.5
    laptop.bubble(spoken).get_by_role("slider").press("End")
    expect(desk.bubble(spoken)).not_to_have_attribute("data-unheard", "")


def test_two_tabs_do_not_sound_at_once(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "meeting.m4a")
    visitor = visit(alice)
    page = visitor.open(thread)
    visitor.bubble(spoken).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    visitor.open_anew(thread)
    visitor.bubble(spoken).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    visitor.page = page
    visitor.wait_for_silence()
    expect(visitor.bubble(spoken).get_by_role("button", name="Play")).to_be_visible()


def test_people_are_added_and_one_leaves(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    page = hers.open(thread)
    page.get_by_role("button", name="People").click()
    dialog = page.get_by_role("dialog", name="People in this thread")
    expect(dialog.get_by_role("list", name="In this thread")).to_contain_text("bob")
    dialog.get_by_label("Add people").fill("carol, dave")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("list", name="In this thread")).to_contain_text("dave")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="People")).to_be_focused()
    expect(page.locator(".members")).to_have_text("You and bob, carol, and dave")
    his.open(thread)
    his.page.get_by_role("button", name="People").click()
    his.page.get_by_role("button", name="Leave this thread…").click()
    his.page.get_by_role("button", name="Leave", exact=True).click()
    expect(his.page.get_by_role("link", name=re.compile(thread.title))).to_have_count(0)
    expect(his.page.get_by_text("Choose a thread")).to_be_visible()
    hers.page.reload()
    expect(page.locator(".members")).to_have_text("You and carol and dave")


def test_who_leaves_asks_nothing_more_of_the_thread(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    his = visit(bob, script=SLOW_LINE)
    with his.page.expect_response("**/v1/threads?limit=100"):
        his.open(thread)
    his.page.get_by_role("button", name="People").click()
    his.page.get_by_role("button", name="Leave this thread…").click()
    his.page.get_by_role("button", name="Leave", exact=True).click()
    expect(his.page.get_by_text("Choose a thread")).to_be_visible()
    expect(his.page.get_by_role("link", name=re.compile(thread.title))).to_have_count(0)
