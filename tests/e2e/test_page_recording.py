"""The recorder: a microphone that is fed by a file."""

from playwright.sync_api import expect

from tests.e2e.browser import RECORD, Visit, record
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person

# It answers after a second, as a person does who is asked, and can be looked at in `opened`.
_SLOW_MICROPHONE = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((answer) => setTimeout(answer, 1_000));
    return (window.opened = await ask(wanted));
  };
  void 0;
"""
_SLOW_END = """
  const end = MediaRecorder.prototype.stop;
  MediaRecorder.prototype.stop = function () {
    setTimeout(() => end.call(this), 1_000);
  };
"""


def test_a_recording_is_heard_before_it_is_sent(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    hers, his = visit(alice), visit(bob)
    page = hers.open(thread)
    record(page, 3_500)
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
    page.get_by_role("button", name=RECORD).click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=RECORD)).to_be_focused()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert _kept(visitor) == 0


def test_cancelling_counts_while_the_recording_still_ends(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, script=_SLOW_END)
    page = visitor.open(thread)
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(1_500)
    page.get_by_role("button", name="Stop recording").click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(1_500)
    expect(page.get_by_role("button", name="Send recording")).to_have_count(0)
    page.get_by_role("button", name=RECORD).focus()
    assert _kept(visitor) == 0


def test_holding_the_button_records_until_it_is_let_go(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    page = visit(alice).open(thread)
    page.get_by_role("button", name=RECORD).hover()
    page.mouse.down()
    page.wait_for_timeout(1_000)
    page.mouse.up()
    expect(page.get_by_text("Recorded 0:01")).to_be_visible()
    page.get_by_role("button", name="Discard recording").click()
    page.get_by_role("button", name=RECORD).hover()
    page.mouse.down()
    page.wait_for_timeout(1_000)
    page.mouse.move(300, 300)
    page.mouse.up()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_finger_holds_slides_and_lets_go(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page = visitor.open(thread)
    button = page.get_by_role("button", name=RECORD)
    box = button.bounding_box()
    assert box is not None
    x, y = box["x"] + 10, box["y"] + 10
    hand = visitor.context.new_cdp_session(page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", {"x": x, "y": y})
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    expect(page.get_by_text("Slide away to cancel")).to_be_visible()
    # A finger is never quite still.
    touch("touchMove", {"x": x - 20, "y": y - 15})
    page.wait_for_timeout(700)
    touch("touchEnd")
    expect(page.get_by_text("Recorded 0:0")).to_be_visible()
    page.get_by_role("button", name="Discard recording").tap()
    touch("touchStart", {"x": x, "y": y})
    expect(page.get_by_text("Slide away to cancel")).to_be_visible()
    for distance in (30, 60, 90, 120):
        touch("touchMove", {"x": x - distance, "y": y})
    touch("touchEnd")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert _kept(visitor) == 0


def test_the_countdown_turns_at_50_seconds_and_ends_at_60_with_the_recording_kept(
    alice: Person, visit: Visiting
) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.clock.install()
    page.get_by_role("button", name=RECORD).click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.wait_for_timeout(1_000)
    page.clock.run_for(48_000)
    expect(page.get_by_role("timer")).to_contain_text("0:4")
    page.clock.run_for(4_000)
    expect(page.get_by_role("timer")).to_contain_text("s left")
    expect(page.locator(".recorder")).to_have_attribute("data-soon", "")
    page.clock.run_for(9_000)
    expect(page.get_by_text("Recorded 1:00")).to_be_visible()
    expect(page.get_by_role("button", name="Send recording")).to_be_focused()
    assert _kept(visitor) == 1
    page.keyboard.press("Escape")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert _kept(visitor) == 0


def test_a_refused_microphone_is_told(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    page = visit(alice).open(thread)
    page.evaluate(
        "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')))"
    )
    page.get_by_role("button", name=RECORD).click()
    expect(page.get_by_role("alert").get_by_text("microphone can't be used")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_sliding_away_before_the_microphone_is_open_records_nothing(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    visitor = visit(alice)
    page = visitor.open(thread)
    page.evaluate(_SLOW_MICROPHONE)
    page.get_by_role("button", name=RECORD).hover()
    page.mouse.down()
    page.mouse.move(300, 300)
    page.mouse.up()
    page.wait_for_timeout(2_000)
    assert page.evaluate("opened.getTracks().every((track) => track.readyState === 'ended')")
    expect(page.get_by_role("button", name=RECORD)).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert _kept(visitor) == 0


def test_a_recorder_that_does_not_start_lets_the_microphone_go(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    page = visit(alice).open(thread)
    page.evaluate(_SLOW_MICROPHONE)
    page.evaluate("void (MediaRecorder.prototype.start = () => { throw new DOMException('no', 'NotSupportedError'); })")
    page.get_by_role("button", name=RECORD).click()
    expect(page.get_by_role("alert").get_by_text("microphone can't be used")).to_be_visible()
    assert page.evaluate("opened.getTracks().every((track) => track.readyState === 'ended')")


def test_recording_and_sending_need_no_pointer(alice: Person, visit: Visiting) -> None:
    thread = alice.start_thread("bob")
    page = visit(alice).open(thread)
    page.get_by_role("button", name=RECORD).focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.wait_for_timeout(3_500)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Send recording")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Listen to the recording")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("voice-message")).to_contain_text("Please review the slides.")
    expect(page.get_by_role("button", name=RECORD)).to_be_focused()


def _kept(visitor: Visit) -> int:
    """How many recordings this browser keeps."""
    return len(visitor.page.evaluate("import('/store.js').then((store) => store.all())"))
