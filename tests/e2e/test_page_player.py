"""What the player does beyond the page: keys, formats, other browsers' abilities, lines that break."""

import re

from playwright.sync_api import Route, expect

from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

_LISTEN_TO_KEYS = """
window.keys = {};
const set = navigator.mediaSession.setActionHandler.bind(navigator.mediaSession);
navigator.mediaSession.setActionHandler = (name, act) => {
  keys[name] = act;
  set(name, act);
};
"""
_WITHOUT_AAC = """
const can = HTMLMediaElement.prototype.canPlayType;
HTMLMediaElement.prototype.canPlayType = function (type) { return type.includes("mp4") ? "" : can.call(this, type); };
"""


def test_the_keys_of_keyboards_and_headsets_work(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    first, second = bob.speak(thread, "meeting.m4a", "answer.webm")
    visitor = visit(alice, script=_LISTEN_TO_KEYS)
    page = visitor.open(thread)
    visitor.bubble(first).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    assert page.evaluate("navigator.mediaSession.metadata.artist") == "bob"
    page.evaluate("keys.pause()")
    visitor.wait_for_silence()
    page.evaluate("keys.seekto({ seekTime: 3 })")
    page.evaluate("keys.seekforward({ seekOffset: 2 })")
    expect(visitor.bubble(first).get_by_role("slider")).to_have_attribute("aria-valuenow", "5000")
    page.evaluate("keys.seekbackward({})")
    expect(visitor.bubble(first).get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    page.evaluate("keys.play()")
    visitor.wait_for_sound()
    page.evaluate("keys.nexttrack()")
    expect(visitor.bubble(second)).to_have_attribute("data-playing", "")
    expect(visitor.bubble(first)).not_to_have_attribute("data-playing", "")


def test_a_browser_without_aac_gets_opus(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice, script=_WITHOUT_AAC)
    visitor.open(thread)
    visitor.bubble(spoken).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    assert "/opus.ogg?" in visitor.sounding()[0]["src"]


def test_a_sound_that_breaks_again_and_again_is_given_up(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    visitor = visit(alice)
    page = visitor.open(thread)
    renewals: list[str] = []
    page.on("request", lambda request: renewals.append(request.url) if request.url.endswith(spoken["id"]) else None)

    def damaged(route: Route) -> None:
        route.fulfill(status=200, content_type="audio/mp4", body=b"this is no sound")

    page.route("**/v1/playback/**", damaged)
    bubble = visitor.bubble(spoken)
    bubble.get_by_role("button", name="Play").click()
    expect(bubble).to_contain_text("can't be played right now")
    assert len(renewals) == 1


def test_the_next_one_is_ready_before_its_turn(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    first, second = bob.speak(thread, "answer.webm", "meeting.m4a")
    visitor = visit(alice)
    page = visitor.open(thread)
    with page.expect_request(re.compile(rf"/v1/playback/{second['id']}")):
        visitor.bubble(first).get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    assert first["id"] in visitor.sounding()[0]["src"]
    assert len(visitor.sounding()) == 1


def test_nothing_is_fetched_for_what_only_passes_under_the_pointer(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    bob.speak(thread, "answer.webm")
    for number in range(30):
        bob.write(thread, f"Text {number}")
    visitor = visit(alice)
    page = visitor.open(thread)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if re.search("playback|played", request.url) else None)
    page.mouse.move(600, 400)
    page.wait_for_timeout(300)
    for _ in range(15):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(40)
    assert asked == []


def test_earlier_messages_that_did_not_come_can_be_asked_for_again(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    for number in range(60):
        bob.write(thread, f"Text {number}")
    visitor = visit(alice)
    visitor.page.route("**/messages?*cursor=*", lambda route: route.abort())
    page = visitor.open(thread)
    messages = page.get_by_role("list", name="Messages")
    # Before the first page is there, there is nothing to scroll.
    expect(messages.get_by_text("Text 10", exact=True)).to_be_attached()
    page.locator(".scroller").evaluate("scroller => scroller.scrollTo(0, -scroller.scrollHeight)")
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    bob.write(thread, "Text 60")
    expect(messages.get_by_text("Text 60", exact=True)).to_be_attached()
    expect(again).to_be_visible()
    page.unroute_all()
    again.click()
    expect(messages.get_by_text("Text 0", exact=True)).to_be_attached()
    visitor.forgive("Failed to load resource")
