"""A text on its way while its thread is left and opened again: sent once, and never lost."""

from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.conftest import Visiting
from tests.e2e.people import Person


def test_a_text_that_was_sent_meanwhile_is_not_offered_again(alice: Person, visit: Visiting) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page, held = visitor.open(thread), list[Route]()
    _hold_texts(page, held)
    _write(page, "On my way")
    visitor.open(other)
    visitor.open(thread)
    expect(_field(page)).to_have_value("On my way")
    held[0].continue_()
    expect(page.get_by_role("list", name="Messages")).to_contain_text("On my way")
    expect(_field(page)).to_have_value("")


def test_an_impatient_second_enter_elsewhere_is_the_same_message(alice: Person, visit: Visiting) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page, held = visitor.open(thread), list[Route]()
    _hold_texts(page, held)
    _write(page, "On my way")
    visitor.open(other)
    visitor.open(thread)
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/messages")):
        _field(page).press("Enter")
    held[0].continue_()
    expect(_field(page)).to_have_value("")
    held[1].continue_()
    page.wait_for_timeout(500)
    assert [message["text"] for message in alice.messages(thread)] == ["On my way"]


def test_a_text_that_could_not_be_sent_is_still_there(alice: Person, visit: Visiting) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page, held = visitor.open(thread), list[Route]()
    _hold_texts(page, held)
    _write(page, "On my way")
    visitor.open(other)
    held[0].abort()
    visitor.open(thread)
    expect(_field(page)).to_have_value("On my way")
    assert alice.messages(thread) == []
    visitor.forgive("Failed to load resource")


def _hold_texts(page: Page, held: list[Route]) -> None:
    page.route("**/messages", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())


def _write(page: Page, text: str) -> None:
    _field(page).fill(text)
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/messages")):
        _field(page).press("Enter")


def _field(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)
