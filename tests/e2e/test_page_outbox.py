"""What is recorded and not sent yet: a disk that is full, and other tabs."""

import re

from playwright.sync_api import Route, expect

from tests.e2e.browser import record
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

# The second time that something is written it does not fit.
_FULL = """
let puts = 0;
const put = IDBObjectStore.prototype.put;
IDBObjectStore.prototype.put = function (value) {
  puts += 1;
  if (puts === 2) throw new DOMException("The disk is full.", "QuotaExceededError");
  return put.call(this, value);
};
"""


def test_a_full_disk_loses_nothing_of_what_is_recorded(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, script=_FULL)
    page = visitor.open(thread)
    record(page, 3_500)
    page.get_by_role("button", name="Send recording").click()
    expect(page.locator("voice-message")).to_contain_text("review")
    (message,) = alice.messages(thread)
    assert message["voice"]["duration_ms"] > 3_000
    # What was written before it was full is not sent once more.
    page.reload()
    expect(page.locator("voice-message")).to_have_count(1)
    expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
    visitor.forgive("The disk is full.")


def test_a_tab_closed_on_a_full_disk_keeps_what_was_written_before(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, script=_FULL)
    page = visitor.open(thread)
    page.route("**/v1/uploads/*", lambda route: route.abort())
    record(page, 3_500)
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("can't be reached")
    page.close()
    page = visitor.open_anew(thread)
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("recorded, not sent")
    # It is shorter than what the server was promised before.
    waiting.get_by_role("button", name="Send now").click()
    expect(page.locator("voice-message")).to_have_count(1)
    expect(waiting).to_have_count(0)
    visitor.forgive("The disk is full.", "Failed to load resource")


def test_a_tab_that_rests_goes_on_for_one_that_was_closed(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    resting = visitor.open(thread)
    page = visitor.open_anew(thread)
    page.route("**/v1/uploads/*", lambda route: route.abort())
    record(page, 1_500)
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("can't be reached")
    page.close()
    visitor.page = resting
    expect(resting.locator("voice-message")).to_have_count(1)
    expect(resting.get_by_role("list", name="Not sent yet")).to_have_count(0)
    visitor.forgive("Failed to load resource")


def test_what_one_tab_sends_another_can_call_off(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page, held = visitor.open(thread), list[Route]()
    visitor.context.route(
        "**/v1/uploads/*", lambda route: held.append(route) if route.request.method == "PATCH" else route.continue_()
    )
    record(page, 1_500)
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("progressbar", name="Sent")).to_be_visible()
    other = visitor.context.new_page()
    other.goto(f"{visitor.url}/#token={alice.token}")
    other.get_by_role("link", name=re.compile(f"{thread.title}\\b")).click()
    with page.expect_request(lambda request: request.method == "DELETE"):
        other.get_by_role("button", name="Discard").click()
    for tab in (page, other):
        expect(tab.get_by_role("list", name="Not sent yet")).to_have_count(0)
    visitor.context.unroute_all(behavior="ignoreErrors")
    page.wait_for_timeout(1_000)
    assert alice.messages(thread) == []
