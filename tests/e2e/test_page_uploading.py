"""Recordings on their way to the server: cut lines, closed tabs, refusals."""

import base64
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, Route, expect

from pipeline.embedded import StackInfo
from tests.e2e.browser import RECORD, Visit, record
from tests.e2e.conftest import Visiting
from tests.e2e.line import Line, running_line
from tests.e2e.people import SAMPLES, Person, Thread

_TEXT = "Please review the slides."
_CUT = ("ERR_INCOMPLETE", "ERR_CONNECTION", "ERR_EMPTY", "ERR_SOCKET", "ERR_NETWORK", "Failed to load resource")
# Puts a recording into the outbox as if it had been recorded and sent there; the next page that opens sends it.
_PUT_OFF = """async ([user, thread, content, type]) => {
  const store = await import("/store.js");
  const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
  const id = crypto.randomUUID();
  const blob = new Blob([bytes], { type });
  await store.put({ id, user, thread, blob, duration: 3000, draft: false, key: id, url: null, at: Date.now() });
}"""


@pytest.fixture
def line(stack: StackInfo) -> Iterator[Line]:
    with running_line(stack.url) as line:
        yield line


def test_a_recording_is_sent_through_a_cut_line_then_played_read_and_found(
    alice: Person, visit: Visiting, line: Line
) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, url=line.url)
    page = visitor.open(thread)
    asked = _watch_uploads(page)
    record(page, 3_500)
    line.cut_after(6_000, begin=b"PATCH ")
    page.get_by_role("button", name="Send recording").click()
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("can't be reached")
    assert line.is_cut
    line.mend()
    waiting.get_by_role("button", name="Send now").click()
    bubble = page.locator("voice-message")
    expect(bubble).to_contain_text(_TEXT)
    expect(waiting).to_have_count(0)
    assert _resumed_at(asked) > 0
    assert len(alice.messages(thread)) == 1
    bubble.get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    expect(bubble.locator(".word.now")).to_be_visible()
    bubble.get_by_role("button", name="Pause").click()
    page.get_by_label("Search messages").fill("review slides")
    hit = page.get_by_role("list", name="Found messages").get_by_role("link").first
    hit.click()
    expect(bubble).to_be_in_viewport()
    visitor.wait_for_sound()
    expect(bubble.locator(".word.now")).to_have_text(re.compile("review|the|slides"))
    visitor.forgive(*_CUT)


def test_a_tab_closed_in_the_middle_of_an_upload_goes_on_without_doubling(
    alice: Person, visit: Visiting, line: Line
) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, url=line.url)
    page = visitor.open(thread)
    record(page, 3_500)
    line.cut_after(6_000, begin=b"PATCH ")
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("can't be reached")
    page.close()
    line.mend()
    visitor.page = visitor.context.new_page()
    asked = _watch_uploads(visitor.page)
    visitor.page.goto(f"{line.url}/#token={alice.token}")
    visitor.open(thread)
    expect(visitor.page.locator("voice-message")).to_contain_text(_TEXT)
    assert [request.method for request in asked][:2] == ["HEAD", "PATCH"]
    assert _resumed_at(asked) > 0
    assert len(alice.messages(thread)) == 1
    visitor.forgive(*_CUT)


def test_a_lost_answer_doubles_nothing(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    lost: list[str] = []

    def arrive_unanswered(route: Route) -> None:
        if route.request.method in ("POST", "PATCH") and len(lost) < 2 and route.request.method not in lost:
            lost.append(route.request.method)
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/uploads**", arrive_unanswered)
    record(page, 3_000)
    page.get_by_role("button", name="Send recording").click()
    expect(page.locator("voice-message")).to_contain_text(_TEXT)
    assert lost == ["POST", "PATCH"]
    assert len(alice.messages(thread)) == 1
    visitor.forgive("Failed to load resource")


def test_an_upload_tells_how_far_it_is(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    held: list[Route] = []

    def hold_the_second(route: Route) -> None:
        if _offset(route.request) and not held:
            held.append(route)
        else:
            route.continue_()

    visitor.context.route("**/v1/uploads/*", hold_the_second)
    _put_off(visitor, alice, thread, (SAMPLES / "stereo.wav").read_bytes(), "audio/wav")
    page = visitor.open(thread)
    progress = page.get_by_role("progressbar", name="Sent")
    expect(progress).to_have_js_property("value", 65_536)
    held[0].continue_()
    expect(page.locator("voice-message")).to_contain_text(_TEXT)
    expect(progress).to_have_count(0)


def test_what_the_server_refuses_says_why_and_can_be_thrown_away(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    _put_off(visitor, alice, thread, b"this is no recording at all, whoever says so" * 9, "audio/webm")
    _put_off(visitor, alice, thread, (SAMPLES / "stereo.wav").read_bytes(), "audio/wav")
    page = visitor.open(thread)
    # What comes behind it is sent all the same.
    expect(page.locator("voice-message")).to_contain_text(_TEXT)
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("container")
    expect(waiting.get_by_role("listitem")).to_have_count(1)
    waiting.get_by_role("button", name="Discard").click()
    expect(waiting).to_have_count(0)
    visitor.forgive("415")


def test_a_refusal_that_did_not_come_through_says_why_when_asked_again(alice: Person, visit: Visiting) -> None:
    """As when the page is loaded anew at that moment."""
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    lost: list[int] = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method == "PATCH" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    visitor.context.route("**/v1/uploads/*", lose_the_first_answer)
    _put_off(visitor, alice, thread, b"this is no recording at all, whoever says so" * 9, "audio/webm")
    page = visitor.open(thread)
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("container")
    assert lost == [415]
    visitor.forgive("415", "ERR_FAILED")


def test_a_sending_can_be_called_off(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    visitor.context.route(
        "**/v1/uploads/*", lambda route: None if route.request.method == "PATCH" else route.continue_()
    )
    _put_off(visitor, alice, thread, (SAMPLES / "stereo.wav").read_bytes(), "audio/wav")
    page = visitor.open(thread)
    expect(page.get_by_role("progressbar", name="Sent")).to_be_visible()
    with page.expect_request(lambda request: request.method == "DELETE") as ended:
        page.get_by_role("button", name="Discard").click()
    response = ended.value.response()
    assert response is not None
    assert response.status == 204
    expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
    assert alice.messages(thread) == []
    visitor.context.unroute_all(behavior="ignoreErrors")


def test_what_was_recorded_and_not_sent_survives_a_closed_tab(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(4_500)
    page.close()
    page = visitor.open_anew(thread)
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("recorded, not sent")
    waiting.get_by_role("button", name="Listen to the recording").click()
    visitor.wait_for_sound()
    waiting.get_by_role("button", name="Send now").click()
    expect(page.locator("voice-message")).to_contain_text("review")
    expect(waiting).to_have_count(0)


@pytest.mark.parametrize("holding", [[], ["PATCH uploads"], ["GET messages"]])
def test_what_another_tab_sends_half_recorded_comes_whole_all_the_same(
    alice: Person, visit: Visiting, holding: list[str]
) -> None:
    """Also while it is still on its way there, or has arrived without the other tab knowing."""
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(2_500)
    other, waiting, held = visitor.context.new_page(), list[Route](), [*holding]
    other.goto(f"{visitor.url}/#token={alice.token}")
    other.get_by_role("link", name=re.compile(thread.title)).click()
    other.route(
        "**/v1/**",
        lambda route: waiting.append(route) if _name(route.request) in held else route.continue_(),
    )
    other.get_by_role("button", name="Send now").click()
    if not held:
        expect(other.locator("voice-message")).to_have_count(1)
    visitor.wait_until(lambda: waiting or not held, "the other tab sends")
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("button", name="Send recording").click()
    expect(page.get_by_role("button", name=RECORD)).to_be_visible()
    page.wait_for_timeout(300)
    held.clear()
    for route in waiting:
        route.continue_()
    expect(page.locator("voice-message")).to_have_count(2)
    expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
    whole, half = (alice.settled(message["id"]) for message in alice.messages(thread))
    assert whole["voice"]["duration_ms"] > half["voice"]["duration_ms"]


def test_leaving_the_thread_keeps_what_was_being_recorded(alice: Person, visit: Visiting) -> None:
    thread, other = alice.start_thread("bob"), alice.start_thread("carol")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(1_500)
    visitor.open(other)
    expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
    visitor.open(thread)
    waiting = page.get_by_role("list", name="Not sent yet")
    expect(waiting).to_contain_text("recorded, not sent")
    waiting.get_by_role("button", name="Discard").click()
    expect(waiting).to_have_count(0)


def _name(request: Request) -> str:
    """Such as "GET messages"."""
    return f"{request.method} {request.url.partition('/v1/')[2].partition('/')[0]}"


def _put_off(visitor: Visit, person: Person, thread: Thread, content: bytes, kind: str) -> None:
    """Waits in the outbox when the page has been loaded again."""
    expect(visitor.page.get_by_role("heading", name="Earshot")).to_be_visible()
    visitor.page.evaluate(_PUT_OFF, [person.name, thread.id, base64.b64encode(content).decode(), kind])
    visitor.page.reload()


def _watch_uploads(page: Page) -> list[Request]:
    """The list grows as the page asks."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/v1/uploads" in request.url else None)
    return asked


def _resumed_at(asked: list[Request]) -> int:
    """The offset of the first bytes after somebody asked how far the upload is."""
    methods = [request.method for request in asked]
    return _offset(asked[methods.index("PATCH", methods.index("HEAD"))])


def _offset(request: Request) -> int:
    return int(request.headers.get("upload-offset", "0"))
