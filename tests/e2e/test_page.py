"""Threads and messages on the page."""

import re
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Route, expect

from pipeline.embedded import StackInfo
from storage import messages
from storage.database import Database
from storage.ids import new_id
from tests.e2e.accessibility import assert_accessible
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

# The page lives some days later than the messages.
_OTHER_DAY = """
window.daysLater = 0;
const TrueDate = Date;
window.Date = class extends TrueDate {
  static now() { return TrueDate.now() + daysLater * 86_400_000; }
  constructor(...parts) { super(...(parts.length ? parts : [Date.now()])); }
};
"""
_NOTE_ANNOUNCEMENTS = """
window.noted = [];
const announcer = document.getElementById("announcer");
new MutationObserver(() => noted.push(announcer.textContent)).observe(announcer, { childList: true });
"""


def test_threads_are_listed_with_what_was_said_and_what_is_unheard(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    bob.speak(thread, "code.caf")
    row = visit(alice).page.get_by_role("link", name=re.compile(thread.title))
    expect(row).to_contain_text("0:03")
    expect(row).to_contain_text("The code is four seven one nine.")
    expect(row).to_contain_text("1 unread, 1 not heard")


def test_the_token_does_not_stay_in_the_address(alice: Person, visit: Visiting) -> None:
    page = visit(alice).page
    expect(page.get_by_role("heading", name="Earshot")).to_be_visible()
    assert "token" not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Earshot")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0


def test_the_link_works_in_a_tab_that_asks_for_a_token(alice: Person, visit: Visiting) -> None:
    page = visit(alice).page
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_label("Token")).to_be_focused()
    page.evaluate("token => { location.hash = `token=${token}`; }", alice.token)
    expect(page.get_by_role("button", name="New thread")).to_be_visible()
    assert "token" not in page.url


def test_nobody_is_signed_in_by_a_token_that_is_refused(alice: Person, visit: Visiting) -> None:
    stranger = visit(alice)
    stranger.page.evaluate("sessionStorage.setItem('earshot.token', 'a.b.c')")
    stranger.page.reload()
    expect(stranger.page.get_by_role("alert")).to_contain_text("signed out")
    expect(stranger.page.get_by_label("Token")).to_be_focused()
    stranger.forgive("401")


def test_texts_and_recordings_arrive_in_an_open_thread(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    visitor.open(thread)
    bob.write(thread, "Are you there? <b>Hello</b>")
    expect(visitor.page.get_by_role("list", name="Messages")).to_contain_text("Are you there? <b>Hello</b>")
    (spoken,) = bob.speak(thread, "stereo.wav")
    expect(visitor.bubble(spoken)).to_contain_text("Please review the slides.")


def test_a_text_that_is_sent_is_seen_by_the_other(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    hers.page.get_by_label("Message", exact=True).fill("Good morning")
    hers.page.get_by_label("Message", exact=True).press("Enter")
    expect(his.page.get_by_role("list", name="Messages")).to_contain_text("Good morning")
    expect(hers.page.get_by_role("list", name="Messages")).to_contain_text("Seen by bob")
    expect(hers.page.get_by_label("Message", exact=True)).to_have_value("")


def test_what_was_said_before_ones_own_last_word_is_read_too(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    bob.write(thread, "Are you coming?")
    alice.write(thread, "From my phone: yes")
    visitor = visit(alice)
    row = visitor.page.get_by_role("link", name=re.compile(thread.title))
    expect(row).to_contain_text("1 unread")
    visitor.open(thread)
    expect(row).not_to_contain_text("unread")


def test_messages_stand_in_the_order_in_which_they_arrived(
    stack: StackInfo, alice: Person, bob: Person, visit: Visiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of one that took long to store is older than that of what was written meanwhile."""
    thread = bob.start_thread("alice")
    first = bob.write(thread, "First")
    visitor = visit(alice)
    items = visitor.open(thread).get_by_role("list", name="Messages").get_by_role("listitem")
    expect(items).to_have_count(1)
    with monkeypatch.context() as slow, closing(Database(stack.environment["EARSHOT_DATABASE_URL"])) as database:
        slow.setattr("storage.messages.new_id", lambda prefix: new_id(prefix, at=time.time() - 60))
        with database.transaction() as connection:
            assert messages.add_text(connection, thread.id, bob.name, "Second") < first["id"]
    expect(items).to_contain_text(["First", "Second"])
    expect(visitor.page.get_by_role("link", name=re.compile(thread.title))).not_to_contain_text("unread")
    visitor.page.reload()
    expect(items).to_contain_text(["First", "Second"])


def test_news_of_an_old_message_does_not_put_it_above_a_hole(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    for number in range(120):
        bob.write(thread, f"Text {number}")
    visitor = visit(alice)
    listed = visitor.open(thread).get_by_role("list", name="Messages")
    expect(listed.get_by_text("Text 119", exact=True)).to_be_in_viewport()
    bob.correct(spoken, "Please review the slides today.")
    bob.write(thread, "Corrected")
    expect(listed.get_by_text("Corrected", exact=True)).to_be_visible()
    expect(visitor.bubble(spoken)).to_have_count(0)


def test_who_leaves_a_thread_while_it_loads_hears_no_more_of_it(alice: Person, bob: Person, visit: Visiting) -> None:
    left, other = bob.start_thread("alice"), bob.start_thread("alice")
    for number in range(60):
        bob.write(left, f"Text {number}")
    visitor = visit(alice)
    page, waiting = visitor.page, list[Route]()
    page.route(re.compile(f"{left.id}/messages"), lambda route: waiting.append(route))
    with page.expect_request(re.compile(f"{left.id}/messages")):
        page.get_by_role("link", name=re.compile(f"{left.title}\\b")).click()
    page.get_by_role("link", name=re.compile(f"{other.title}\\b")).click()
    expect(page.get_by_role("heading", name=other.title)).to_be_visible()
    assert waiting
    for route in waiting:
        route.continue_()
    page.wait_for_timeout(500)
    bob.write(other, "Here")
    expect(page.get_by_role("list", name="Messages").get_by_text("Here", exact=True)).to_be_visible()
    page.wait_for_timeout(1_000)
    assert [url for url in visitor.asked if "/v1/messages/" in url] == []


def test_days_are_called_what_they_are_today(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    visitor = visit(alice, script=_OTHER_DAY)
    page = visitor.open(thread)
    days = page.locator("ol.messages li")
    bob.write(thread, "Before midnight")
    expect(days).to_have_attribute("data-day", "Today")
    page.evaluate("daysLater = 1")
    bob.write(thread, "And once more")
    expect(days).to_have_count(2)
    # Both are of the day before: one line stands above them.
    expect(days.first).to_have_attribute("data-day", "Yesterday")
    expect(days.last).not_to_have_attribute("data-day", re.compile("."))
    page.evaluate("daysLater = 800")
    bob.write(thread, "Long after")
    year = re.compile(f" {datetime.now(tz=UTC).year}$")
    expect(days.first).to_have_attribute("data-day", year)
    expect(page.get_by_role("link", name=re.compile(thread.title)).locator(".at")).to_have_text(year)


def test_a_thread_can_be_started(alice: Person, bob: Person, visit: Visiting) -> None:
    hers = visit(alice)
    hers.page.get_by_role("button", name="New thread").click()
    hers.page.get_by_label("With").fill("bob, carol")
    hers.page.get_by_label("Title").fill("Lunch")
    hers.page.get_by_role("button", name="Start").click()
    expect(hers.page.get_by_role("heading", name="Lunch")).to_be_visible()
    expect(hers.page.get_by_text("You and bob and carol")).to_be_visible()
    expect(visit(bob).page.get_by_role("link", name=re.compile("Lunch"))).to_be_visible()


def test_earlier_messages_load_as_one_scrolls_up(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    for number in range(75):
        bob.write(thread, f"Text {number}")
    visitor = visit(alice)
    page = visitor.open(thread)
    messages = page.get_by_role("list", name="Messages")
    expect(messages.get_by_text("Text 74", exact=True)).to_be_in_viewport()
    # A page is whole before it is scrolled to its end: the next one comes only then.
    for earliest in ("Text 25", "Text 0"):
        expect(messages.get_by_text(earliest, exact=True)).to_be_attached()
        page.locator(".scroller").evaluate("scroller => scroller.scrollTo(0, -scroller.scrollHeight)")
    expect(messages.get_by_text("Text 0", exact=True)).to_be_in_viewport()
    texts = page.locator("ol.messages .bubble p").all_text_contents()
    assert texts == [f"Text {number}" for number in range(75)]


def test_threads_beyond_the_first_hundred_are_a_click_away(stack: StackInfo, bob: Person, visit: Visiting) -> None:
    with Person(stack, "a person with many threads") as popular:
        threads = [bob.start_thread(popular.name, title=f"Case {number}") for number in range(103)]
        page = visit(popular).page
        expect(page.get_by_role("link", name=re.compile("Case "))).to_have_count(100)
        page.get_by_role("button", name="Older threads").click()
        expect(page.get_by_role("link", name=re.compile("Case "))).to_have_count(103)
        expect(page.get_by_role("button", name="Older threads")).to_have_count(0)
        bob.write(threads[0], "Here I am again")
        expect(page.get_by_role("link", name=re.compile("Case ")).first).to_contain_text("Here I am again")
        expect(page.get_by_role("link", name=re.compile("Case "))).to_have_count(103)


def test_back_on_a_small_screen_leads_to_where_one_was(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    page = visit(alice, viewport={"width": 360, "height": 640}).open(thread)
    page.get_by_role("link", name="Back to all threads").click()
    expect(page.get_by_role("link", name=re.compile(thread.title))).to_be_focused()


def test_what_is_deleted_disappears_for_everybody(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "stereo.wav")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    his.bubble(spoken).get_by_role("button", name="More actions").click()
    his.bubble(spoken).get_by_role("button", name="Delete for everybody").click()
    his.bubble(spoken).get_by_role("button", name="Delete", exact=True).click()
    expect(his.bubble(spoken)).to_have_count(0)
    expect(hers.bubble(spoken)).to_have_count(0)


def test_a_lost_line_is_told_and_what_was_missed_comes(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    visitor.context.set_offline(True)
    expect(page.locator(".offline")).to_have_text("Offline. Trying again…")
    expect(page.locator("#announcer")).to_have_text("Offline. Trying again…")
    bob.write(thread, "Did you hear me?")
    visitor.context.set_offline(False)
    expect(page.get_by_role("list", name="Messages")).to_contain_text("Did you hear me?")
    expect(page.locator(".offline")).to_be_empty()
    visitor.forgive("ERR_INTERNET_DISCONNECTED")


def test_a_lost_line_is_told_on_a_small_screen_too(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, viewport={"width": 360, "height": 640})
    page = visitor.open(thread)
    visitor.context.set_offline(True)
    expect(page.get_by_text("Offline. Trying again…").first).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("Message", exact=True)).to_be_in_viewport(ratio=1)
    visitor.context.set_offline(False)
    expect(page.locator(".offline")).to_be_hidden()
    visitor.forgive("ERR_INTERNET_DISCONNECTED")


def test_a_thread_that_was_chosen_without_a_line_opens_when_it_is_back(
    alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = alice.start_thread("bob")
    bob.write(thread, "Are you there?")
    visitor = visit(alice, viewport={"width": 360, "height": 640})
    page = visitor.page
    expect(page.get_by_text(thread.title, exact=True)).to_be_visible()
    visitor.context.set_offline(True)
    page.get_by_role("link", name=re.compile(thread.title)).click()
    expect(page.get_by_role("main")).to_contain_text("The server can't be reached.")
    assert_accessible(page)
    page.get_by_role("link", name="All threads").click()
    page.get_by_role("link", name=re.compile(thread.title)).click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("main")).to_contain_text("The server can't be reached.")
    visitor.context.set_offline(False)
    expect(page.get_by_role("list", name="Messages")).to_contain_text("Are you there?")
    visitor.forgive("ERR_INTERNET_DISCONNECTED")


def test_a_thread_that_does_not_exist_leads_back(alice: Person, visit: Visiting) -> None:
    visitor = visit(alice, viewport={"width": 360, "height": 640})
    page = visitor.page
    expect(page.get_by_role("heading", name="Earshot")).to_be_visible()
    page.goto(f"{visitor.url}/#thr_none")
    expect(page.get_by_role("heading", name="This thread can't be opened")).to_be_visible()
    page.get_by_role("link", name="All threads").click()
    expect(page.get_by_role("heading", name="Earshot")).to_be_visible()
    visitor.forgive("404")


def test_leaving_a_thread_while_it_loads_is_no_error(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    visitor = visit(alice)
    page = visitor.page
    held: list[Route] = []
    page.route("**/v1/threads/*/messages?limit=50", lambda route: held.append(route))
    with page.expect_request("**/v1/threads/*/messages?limit=50"):
        page.get_by_role("link", name=re.compile(thread.title)).click()
    page.go_back()
    expect(page.get_by_text("Choose a thread")).to_be_visible()
    with page.expect_response("**/v1/threads/*/messages?limit=50"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.get_by_text("Choose a thread")).to_be_visible()


def test_what_comes_together_is_announced_in_the_order_in_which_it_was_said(
    alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    visitor.context.route("**/v1/events", lambda route: route.abort())
    visitor.page.reload()
    page = visitor.open(thread)
    expect(page.get_by_text("Say something.")).to_be_visible()
    announcer = page.locator("#announcer")
    visitor.context.set_offline(True)
    expect(announcer).to_have_text(re.compile("Offline"))
    page.evaluate(_NOTE_ANNOUNCEMENTS)
    bob.write(thread, "One")
    bob.write(thread, "Two")
    visitor.context.set_offline(False)
    expect(page.get_by_role("list", name="Messages").get_by_text("Two", exact=True)).to_be_visible()
    page.wait_for_timeout(300)
    assert [said for said in page.evaluate("noted") if "bob" in said] == ["bob: One bob: Two"]
    visitor.forgive("Failed to load resource", "ERR_INTERNET_DISCONNECTED", "ERR_FAILED")


def test_nothing_is_missing_after_a_long_absence_without_a_stream(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    bob.write(thread, "Before")
    visitor = visit(alice)
    visitor.context.route("**/v1/events", lambda route: route.abort())
    visitor.page.reload()
    page = visitor.open(thread)
    texts = page.locator("ol.messages .bubble p")
    expect(texts).to_have_text(["Before"])
    visitor.context.set_offline(True)
    for number in range(70):
        bob.write(thread, f"Text {number}")
    visitor.context.set_offline(False)
    expect(texts).to_have_count(71)
    assert texts.all_text_contents() == ["Before", *(f"Text {number}" for number in range(70))]
    visitor.forgive("Failed to load resource", "ERR_INTERNET_DISCONNECTED", "ERR_FAILED")
