"""Listening on the page: what really sounds."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

_LOSE_PLAYS = """() => {
  const ask = window.fetch;
  window.fetch = (url, options) => (options.method === "POST" && url.endsWith("/played") ? %s : ask(url, options));
}"""


def test_a_message_plays_and_the_words_follow(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    bubble.get_by_role("button", name="Play voice message from bob, 5 seconds").click()
    visitor.wait_for_sound()
    before = visitor.sounding()[0]["at"]
    visitor.page.wait_for_timeout(500)
    assert visitor.sounding()[0]["at"] > before
    followed = bubble.locator(".word.now")
    expect(followed).to_be_visible()
    # The words came while it was sounding, at whichever of them it was.
    bubble.get_by_role("slider").press("Home")
    expect(followed).to_have_text("Yes,")
    expect(followed).not_to_have_text("Yes,")
    bubble.get_by_role("button", name="Pause").click()
    visitor.wait_for_silence()


def test_a_click_on_a_word_plays_from_there(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    bubble.locator(".text").hover()
    bubble.locator(".word", has_text="coffee").click()
    visitor.wait_for_sound(2)
    expect(bubble.locator(".word.now")).to_have_text(re.compile("coffee|shop"))


def test_the_next_unheard_message_plays_by_itself_and_the_sender_learns_of_it(
    alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    first, second = bob.speak(thread, "stereo.wav", "code.caf")
    hers, his = visit(alice), visit(bob)
    hers.open(thread)
    his.open(thread)
    expect(hers.bubble(first)).to_have_attribute("data-unheard", "")
    hers.bubble(first).get_by_role("button", name="Play").click()
    expect(hers.bubble(second)).to_have_attribute("data-playing", "")
    expect(hers.bubble(first)).not_to_have_attribute("data-unheard", "")
    expect(his.bubble(first)).to_contain_text("Heard by alice")
    expect(his.bubble(second)).to_contain_text("Seen by alice")
    expect(his.bubble(second)).to_contain_text("Heard by alice")
    hers.wait_for_silence()


@pytest.mark.parametrize("answer", ["Promise.reject(new TypeError())", "new Promise(() => {})"], ids=["fails", "hangs"])
def test_what_was_heard_without_a_line_is_told_when_it_is_back(
    alice: Person, bob: Person, visit: Visiting, answer: str
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)
    page = visitor.open(thread)
    bubble = visitor.bubble(spoken)
    page.evaluate(_LOSE_PLAYS % answer)
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    bubble.get_by_role("slider").press("End")
    visitor.wait_for_silence()
    expect(bubble).not_to_have_attribute("data-unheard", "")
    # The server does not know, and is asked what there is.
    page.close()
    visitor.context.route("**/played", _break_off_posts)
    page = visitor.open_anew(thread)
    bubble = visitor.bubble(spoken)
    expect(bubble).not_to_have_attribute("data-unheard", "")
    assert alice.message(spoken["id"])["receipts"]["played_by"] == []
    visitor.context.unroute_all(behavior="wait")
    his = visit(bob)
    his.open(thread)
    page.reload()
    expect(his.bubble(spoken)).to_contain_text("Heard by alice")
    expect(bubble).not_to_have_attribute("data-unheard", "")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('earshot.heard.'))") == []
    visitor.forgive("Failed to load resource")


def test_a_place_that_is_told_late_does_not_undo_a_newer_one(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "meeting.m4a")
    visitor = visit(alice)
    page = visitor.open(thread)
    bubble = visitor.bubble(spoken)
    page.route("**/played", _break_off_posts)
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound(1)
    with page.expect_event("requestfailed"):
        bubble.get_by_role("button", name="Pause").click()
    # The server takes the time that a report is on its way for time since.
    page.wait_for_timeout(1_000)
    alice.stop_at(spoken, 2345)
    page.unroute_all(behavior="wait")
    with page.expect_request(lambda each: each.url.endswith("/played") and each.method == "POST") as told:
        page.reload()
    assert told.value.response().ok
    assert alice.stopped_at(spoken) == 2345
    visitor.forgive("Failed to load resource")


def test_one_message_sounds_at_a_time(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    first, second = bob.speak(thread, "answer.webm", "meeting.m4a")
    visitor = visit(alice)
    visitor.open(thread)
    visitor.bubble(first).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    visitor.bubble(second).get_by_role("button", name="Play").click()
    expect(visitor.bubble(first).get_by_role("button", name="Play")).to_be_visible()
    visitor.wait_for_sound()
    assert len(visitor.sounding()) == 1
    assert second["id"] in visitor.sounding()[0]["src"]


def test_speed_and_place_are_remembered(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    spoken, other = bob.speak(thread, "meeting.m4a", "answer.webm")
    visitor = visit(alice)
    visitor.open(thread)
    bubble = visitor.bubble(spoken)
    bubble.get_by_role("button", name="Speed: 1 times").click()
    bubble.get_by_role("button", name="Speed: 1.25 times").click()
    expect(visitor.bubble(other).get_by_role("button", name="Speed: 1.5 times")).to_be_visible()
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound(1)
    assert visitor.sounding()[0]["rate"] == 1.5
    bubble.get_by_role("button", name="Pause").click()
    visitor.page.reload()
    expect(bubble.get_by_role("button", name="Speed: 1.5 times")).to_be_visible()
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound(0)
    assert visitor.sounding()[0]["at"] >= 1


def test_a_url_that_stopped_working_is_replaced_without_the_listener_noticing(
    alice: Person, bob: Person, visit: Visiting
) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)

    def with_dead_urls(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r"expires=\d+", "expires=1700000000", answer.text()))

    visitor.page.route("**/v1/threads/*/messages*", with_dead_urls)
    visitor.open(thread)
    visitor.bubble(spoken).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    expect(visitor.bubble(spoken).get_by_role("button", name="Pause")).to_be_visible()
    visitor.forgive("Failed to load resource")


def test_a_url_that_is_known_to_have_expired_is_not_even_tried(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)

    def long_ago(route: Route) -> None:
        answer = route.fetch()
        old = re.sub(r'"expires_at":"[^"]*"', '"expires_at":"2020-01-01T00:00:00Z"', answer.text())
        route.fulfill(response=answer, body=re.sub(r"expires=\d+", "expires=1", old))

    visitor.page.route("**/v1/threads/*/messages*", long_ago)
    visitor.open(thread)
    visitor.bubble(spoken).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()


def test_what_can_not_be_played_says_so_and_can_be_tried_again(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)
    visitor.open(thread)
    visitor.page.route("**/v1/playback/**", lambda route: route.abort())
    bubble = visitor.bubble(spoken)
    bubble.get_by_role("button", name="Play").click()
    expect(bubble).to_contain_text("can't be played right now")
    visitor.page.unroute_all()
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    expect(bubble).not_to_contain_text("can't be played right now")
    visitor.forgive("Failed to load resource")


def _break_off_posts(route: Route) -> None:
    if route.request.method == "POST":
        route.abort()
    else:
        route.continue_()
