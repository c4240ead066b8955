"""A text on its way while its thread is left and opened again: sent once, and never lost."""

from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.browser import Visit
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person, Thread


def test_a_text_that_was_sent_meanwhile_is_not_offered_again(alice: Person, visit: Visiting) -> None:
    page, _, held = _reopened(alice, visit)
    expect(_field(page)).to_have_value("On my way")
    held[0].continue_()
    expect(page.get_by_role("list", name="Messages")).to_contain_text("On my way")
    expect(_field(page)).to_have_value("")


def test_an_impatient_second_enter_elsewhere_is_the_same_message(alice: Person, visit: Visiting) -> None:
    page, thread, held = _reopened(alice, visit)
    _press_enter(page)
    held[0].continue_()
    expect(_field(page)).to_have_value("")
    held[1].continue_()
    page.wait_for_timeout(500)
    assert [message["text"] for message in alice.messages(thread)] == ["On my way"]


def test_a_text_that_could_not_be_sent_is_still_there(alice: Person, visit: Visiting) -> None:
    thread, other, visitor = alice.start_thread("bob"), alice.start_thread("carol"), visit(alice)
    page, held = _sending(visitor, thread)
    visitor.open(other)
    held[0].abort()
    visitor.open(thread)
    expect(_field(page)).to_have_value("On my way")
    assert alice.messages(thread) == []
    visitor.forgive("Failed to load resource")


def _reopened(alice: Person, visit: Visiting) -> tuple[Page, Thread, list[Route]]:
    """A thread that was left and opened again while its text is on its way."""
    thread, other, visitor = alice.start_thread("bob"), alice.start_thread("carol"), visit(alice)
    page, held = _sending(visitor, thread)
    visitor.open(other)
    visitor.open(thread)
    return page, thread, held


def _sending(visitor: Visit, thread: Thread) -> tuple[Page, list[Route]]:
    page, held = visitor.open(thread), list[Route]()
    page.route("**/messages", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    _field(page).fill("On my way")
    _press_enter(page)
    return page, held


def _press_enter(page: Page) -> None:
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/messages")):
        _field(page).press("Enter")


def _field(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)
