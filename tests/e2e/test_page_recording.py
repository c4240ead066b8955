"""The recorder: a microphone that is fed by a file."""

from playwright.sync_api import Page, expect

from tests.e2e.browser import Visit
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

_RECORD = "Record a voice message"


def test_a_recording_is_heard_before_it_is_sent(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    page = hers.open(thread)
    _record(page, 3_500)
    page.get_by_role("button", name="Listen to the recording").click()
    hers.wait_for_sound()
    page.get_by_role("button", name="Pause the recording").click()
    page.get_by_role("button", name="Send recording").click()
    expect(page.locator("voice-message")).to_contain_text("Please review the slides.")
    his.open(thread)
    expect(his.page.locator("voice-message")).to_contain_text("Please review the slides.")
    assert _kept(hers) == 0


def test_escape_throws_a_recording_away(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.get_by_role("button", name=_RECORD).click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=_RECORD)).to_be_focused()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert _kept(visitor) == 0


def test_holding_the_button_records_until_it_is_let_go(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    page = visit(alice).open(thread)
    page.get_by_role("button", name=_RECORD).hover()
    page.mouse.down()
    page.wait_for_timeout(1_000)
    page.mouse.up()
    expect(page.get_by_text("Recorded 0:01")).to_be_visible()
    page.get_by_role("button", name="Discard recording").click()
    page.get_by_role("button", name=_RECORD).hover()
    page.mouse.down()
    page.wait_for_timeout(1_000)
    page.mouse.move(300, 300)
    page.mouse.up()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_recording_survives_a_lost_line_and_a_closed_tab(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    visitor.context.route("**/voice-messages", lambda route: route.abort())
    _record(page, 3_000)
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("can't be reached")
    assert _kept(visitor) == 1
    visitor.context.unroute_all()
    page.close()
    visitor.page = visitor.context.new_page()
    visitor.page.goto(f"{page.url.partition('#')[0]}#token={alice.token}")
    visitor.open(thread)
    expect(visitor.page.locator("voice-message")).to_have_count(1)
    expect(visitor.page.get_by_role("list", name="Not sent yet")).to_be_empty()
    assert _kept(visitor) == 0
    visitor.forgive("Failed to load resource")


def _record(page: Page, milliseconds: int) -> None:
    page.get_by_role("button", name=_RECORD).click()
    page.wait_for_timeout(milliseconds)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_role("button", name="Send recording")).to_be_focused()


def _kept(visitor: Visit) -> int:
    """How many recordings this browser keeps."""
    return len(visitor.page.evaluate("import('/outbox.js').then(m => new m.Outbox({user: 'alice'}).items())"))
