"""The page for everybody: keyboard, screen reader, small and dark screens, slow lines."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import api
from tests.e2e.accessibility import assert_accessible
from tests.e2e.browser import SCREENSHOTS
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

PAGE = Path(api.__file__).parent / "page"


@pytest.fixture
def spoken(alice: Person, bob: Person) -> tuple[Any, list[dict[str, Any]]]:
    thread = bob.start_thread(
        "alice", "a person with such a long name that it can not stand in one line of a small screen"
    )
    first = bob.speak(thread, "meeting.m4a", "room.m4a")
    alice.write(thread, "مرحبا، شكرا على الرسالة")
    return thread, first + alice.speak(thread, "vertrag.mp3")


def test_everything_is_done_by_keyboard(alice: Person, visit: Visiting, spoken: Any) -> None:
    thread, (message, *_) = spoken
    visitor = visit(alice)
    page = visitor.page
    expect(page.get_by_text(thread.title, exact=True)).to_be_visible()
    _tab_to(page, thread.title)
    page.keyboard.press("Enter")
    bubble = visitor.bubble(message)
    expect(bubble).to_be_visible()
    # From here on; before that, Tab would go on through all the other threads.
    expect(page.get_by_role("heading", name=thread.title)).to_be_focused()
    _tab_to(page, "Play voice message from bob")
    page.keyboard.press("Enter")
    visitor.wait_for_sound()
    page.keyboard.press("Space")
    visitor.wait_for_silence()
    page.keyboard.press("Tab")
    slider = bubble.get_by_role("slider", name="Position")
    expect(slider).to_be_focused()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0:00 of 8 seconds")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "4000")
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "0:02 of 8 seconds")
    page.keyboard.press("Enter")
    visitor.wait_for_sound(2)
    page.keyboard.press("Space")
    visitor.wait_for_silence()
    _tab_to(page, "Transcript")
    expect(bubble.locator(".word").first).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(bubble.locator(".word.chosen")).to_have_text("Bob,")
    expect(bubble.get_by_role("status").filter(has_text="Bob,")).to_have_count(1)
    page.keyboard.press("Enter")
    visitor.wait_for_sound(0)
    page.keyboard.press("Escape")


def test_the_menu_opens_and_closes_by_keyboard(alice: Person, visit: Visiting, spoken: Any) -> None:
    thread, (message, *_) = spoken
    visitor = visit(alice)
    page = visitor.open(thread)
    more = visitor.bubble(message).get_by_role("button", name="More actions")
    more.focus()
    page.keyboard.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(visitor.bubble(message).get_by_role("button", name="Mark as heard")).to_be_focused()
    page.keyboard.press("Escape")
    expect(more).to_have_attribute("aria-expanded", "false")
    expect(more).to_be_focused()


def test_arrows_follow_the_direction_of_the_writing(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    (spoken,) = alice.speak(thread, "meeting.m4a")
    alice.correct(spoken, "مرحبا أليس، من فضلك أرسل لي العقد")
    visitor = visit(alice)
    page = visitor.open(thread)
    written = visitor.bubble(spoken).locator(".text")
    written.focus()
    expect(visitor.bubble(spoken).locator(".word").first).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(visitor.bubble(spoken).locator(".word.chosen")).to_have_text("أليس،")
    page.keyboard.press("ArrowRight")
    expect(visitor.bubble(spoken).locator(".word.chosen")).to_have_text("مرحبا")
    first, second = (visitor.bubble(spoken).locator(".word").nth(index).bounding_box() for index in (0, 1))
    assert first is not None
    assert second is not None
    assert first["x"] > second["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(alice: Person, visit: Visiting, spoken: Any, scheme: str) -> None:
    thread, (message, *_) = spoken
    visitor = visit(alice, color_scheme=scheme)
    page = visitor.open(thread)
    expect(visitor.bubble(message)).to_be_visible()
    bubble = visitor.bubble(message)
    bubble.get_by_role("button", name="Play").click()
    expect(bubble.locator(".word.now")).to_be_visible()
    bubble.get_by_role("button", name="Pause").click()
    bubble.get_by_role("button", name="More actions").click()
    assert_accessible(page)
    bubble.get_by_role("button", name="Transcribe again").click()
    page.get_by_role("button", name="New thread").click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="People").click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Record a voice message").click()
    page.wait_for_timeout(1_000)
    assert_accessible(page)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_role("button", name="Send recording")).to_be_focused()
    assert_accessible(page)
    page.route("**/v1/uploads", lambda route: route.abort())
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("can't be reached")
    assert_accessible(page)
    visitor.forgive("Failed to load resource")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1200, "light")])
def test_axe_finds_nothing_around_a_thread(
    alice: Person, visit: Visiting, spoken: Any, width: int, scheme: str
) -> None:
    thread, _ = spoken
    visitor = visit(alice, viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = visitor.page
    expect(page.get_by_text(thread.title, exact=True)).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Search messages").fill("questions contract")
    expect(page.locator("mark").first).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Search messages").press("Escape")
    page = visitor.open(thread)
    expect(page.locator("voice-message").last).to_be_in_viewport()
    assert_accessible(page)
    page.evaluate("sessionStorage.clear()")
    page.goto(visitor.url)
    expect(page.get_by_label("Token")).to_be_visible()
    assert_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 640), (768, 1024), (1440, 900)])
def test_nothing_is_cut_off(alice: Person, visit: Visiting, spoken: Any, width: int, height: int, scheme: str) -> None:
    thread, messages = spoken
    visitor = visit(alice, viewport={"width": width, "height": height}, color_scheme=scheme)
    page = visitor.open(thread)
    expect(visitor.bubble(messages[-1])).to_be_in_viewport()
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{width}x{height}-{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#thread").evaluate("each => each.scrollWidth - each.clientWidth") == 0
    expect(page.get_by_role("button", name="People")).to_be_in_viewport(ratio=1)
    assert page.locator(".scroller").evaluate("each => each.scrollWidth - each.clientWidth") == 0
    assert (
        page.get_by_role("list", name="Messages")
        .get_by_text("مرحبا")
        .evaluate("each => getComputedStyle(each).direction")
        == "rtl"
    )


def test_motion_stops_for_those_who_asked_for_less(alice: Person, visit: Visiting, spoken: Any) -> None:
    thread, (message, *_) = spoken
    visitor = visit(alice, reduced_motion="reduce")
    visitor.open(thread)
    button = visitor.bubble(message).locator(".play")
    assert button.evaluate("each => getComputedStyle(each).transitionDuration") == "0s"


def test_the_page_weighs_little() -> None:
    assert sum(len(gzip.compress(file.read_bytes())) for file in PAGE.iterdir()) < 60_000


def _tab_to(page: Page, name: str) -> None:
    """Presses Tab until what has the focus is called so."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if name in page.evaluate(_FOCUSED):
            return
    raise AssertionError(f"Tab does not reach {name}")


_FOCUSED = """() => {
  let focused = document.activeElement;
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  return focused === document.body ? "" : (focused.getAttribute("aria-label") ?? "") + focused.textContent;
}"""
