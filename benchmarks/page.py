"""The page in a real Chromium: its weight, its first paint, scrolling, and from a click to the sound."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from benchmarks._page_trace import CATEGORIES, summary
from benchmarks._thread_rows import VIEWER, fill
from pipeline.embedded import Stack, StackInfo
from storage.database import Database
from tests.e2e.browser import Visit, running_chromium
from tests.e2e.people import Person

RESULTS = Path(__file__).parent / "results" / "page.json"
ROUNDS = 5
_WATCH = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: "longtask", buffered: true });
"""
_SIZES = """
[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((each) => !each.name.includes("/v1/")).map((each) => each.encodedBodySize)
"""
# From the event of the click to the first sound that is there: when the element plays, and when its clock moves.
_TIME_CLICKS = """
window.clicks = [];
addEventListener("click", (event) => {
  const click = { at: event.timeStamp };
  clicks.push(click);
  const look = () => {
    const sound = sounds.find((each) => !each.paused && each.readyState > 2);
    if (sound && click.playing === undefined) click.playing = performance.now() - click.at;
    if (sound && sound.currentTime > 0) click.moving = performance.now() - click.at;
    else setTimeout(look, 1);
  };
  look();
}, true);
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--clicks", type=int, default=12)
    options = parser.parse_args()
    try:
        with running_chromium() as browser:
            results = _measured(browser, options.messages, options.clicks)
    except pytest.skip.Exception as reason:
        print(f"skipped: {reason}")
        return 0
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    return 0


def _measured(browser: Browser, messages: int, clicks: int) -> dict[str, object]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), port=0, model="micro", environment=clean) as up:
        database = Database(up.info.environment["EARSHOT_DATABASE_URL"])
        thread, _ = fill(database, messages)
        database.close()
        with Person(up.info, VIEWER) as viewer, Person(up.info, "speaker") as speaker:
            return {
                "chromium": browser.version,
                "first_paint": _first_paint(browser, up.info, viewer, thread),
                "scrolling": _scrolling(browser, up.info, viewer, thread, messages),
                "click_to_sound": {
                    "pointer": _clicks(browser, up.info, viewer, speaker, clicks, near=True),
                    "unprepared": _clicks(browser, up.info, viewer, speaker, clicks, near=False),
                },
            }


def _first_paint(browser: Browser, stack: StackInfo, viewer: Person, thread: str) -> dict[str, object]:
    """Everything from opening a thread's address with an empty cache until 50 bubbles stand still: medians."""
    rounds = []
    for _ in range(ROUNDS):
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        context.add_init_script(f"sessionStorage.setItem('earshot.token', '{viewer.token}')")
        page = context.new_page()
        browser.start_tracing(page=page, categories=CATEGORIES)
        page.goto(f"{stack.url}/#{thread}")
        _wait_for_bubbles(page, 50)
        page.wait_for_timeout(500)
        sizes = page.evaluate(_SIZES)
        bubbles = page.locator("voice-message").count()
        rounds.append(summary(browser.stop_tracing()))
        context.close()
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return {"files": len(sizes), "compressed_bytes": sum(sizes), "bubbles": bubbles, **medians}


def _scrolling(browser: Browser, stack: StackInfo, viewer: Person, thread: str, messages: int) -> dict[str, object]:
    """Up through all messages as they load, then down and up again. A task over 50 ms is long; where others use the
    machine, compare the longest by CPU time."""
    visit = Visit(browser, stack.url, viewer)
    page = visit.page
    page.goto(f"{stack.url}/#{thread}")
    _wait_for_bubbles(page, 50)
    page.evaluate(_WATCH)
    page.wait_for_timeout(300)
    page.evaluate("tasks.length = 0")
    browser.start_tracing(page=page, categories=CATEGORIES)
    page.mouse.move(760, 400)
    while page.locator("voice-message").count() < messages:
        _wheel(page, -1200)
    for distance in (2400, -2400):
        for _ in range(60):
            _wheel(page, distance)
    long = page.evaluate("tasks")
    traced = summary(browser.stop_tracing())
    visit.close()
    return {"messages": messages, "long_tasks": len(long), **traced}


def _clicks(
    browser: Browser, stack: StackInfo, viewer: Person, speaker: Person, count: int, *, near: bool
) -> dict[str, float]:
    """`near`: the pointer comes to the button as a hand does; else nothing told that it would be pressed."""
    thread = speaker.start_thread(VIEWER)
    spoken = speaker.speak(thread, *["meeting.m4a"] * count)
    visit = Visit(browser, stack.url, viewer)
    page = visit.open(thread)
    page.evaluate(_TIME_CLICKS)
    # A message that plays has the one after it ready: from the last to the first nothing is.
    for message in spoken if near else reversed(spoken):
        button = visit.bubble(message).get_by_role("button", name="Play voice message")
        button.scroll_into_view_if_needed()
        page.mouse.move(2, 2)
        page.wait_for_timeout(300)
        if near:
            button.hover()
            page.wait_for_timeout(120)
            page.mouse.down()
            page.wait_for_timeout(60)
            page.mouse.up()
        else:
            button.evaluate("button => button.click()")
        visit.wait_for_sound(0.2)
        visit.bubble(message).get_by_role("button", name="Pause voice message").evaluate("button => button.click()")
    clicks = [click for click in page.evaluate("clicks")[::2] if "moving" in click]
    visit.close()
    return {
        "clicks": len(clicks),
        "playing_median_ms": round(statistics.median(click["playing"] for click in clicks), 1),
        "moving_median_ms": round(statistics.median(click["moving"] for click in clicks), 1),
        "moving_longest_ms": round(max(click["moving"] for click in clicks), 1),
    }


def _wait_for_bubbles(page: Page, count: int) -> None:
    page.locator("voice-message").nth(count - 1).wait_for(state="attached")


def _wheel(page: Page, distance: int) -> None:
    page.mouse.wheel(0, distance)
    page.wait_for_timeout(30)


if __name__ == "__main__":
    sys.exit(main())
