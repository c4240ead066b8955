"""A real Chromium, and pages that somebody is signed in to."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.e2e.people import SAMPLES, Person, Thread
from tests.stack import missing

SCREENSHOTS = Path(__file__).parent / "screenshots"
RECORD = "Record a voice message"
_PATIENCE_S = 20
expect.set_options(timeout=_PATIENCE_S * 1000)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Sounds are objects that no document shows: the tests want to know what they really play.
LISTEN_IN = """
window.sounds = [];
const TrueAudio = window.Audio;
window.Audio = function (...options) {
  const sound = new TrueAudio(...options);
  window.sounds.push(sound);
  return sound;
};
window.heard = ({ played }) => {
  let seconds = 0;
  for (let part = 0; part < played.length; part += 1) seconds += played.end(part) - played.start(part);
  return seconds;
};
const told = (sound) => ({ at: sound.currentTime, heard: heard(sound), rate: sound.playbackRate, src: sound.src });
window.sounding = () => sounds.filter(({ paused }) => !paused).map(told);
"""


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Debian's own; the test library's browsers are never downloaded."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        missing("Chromium is not installed: apt-get install chromium")
    options = ["--autoplay-policy=no-user-gesture-required"]
    options += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    options += [f"--use-file-for-fake-audio-capture={SAMPLES / 'stereo.wav'}"]
    # As root, in a container, there is no sandbox for it.
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as library:
        browser = library.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


def record(page: Page, milliseconds: int) -> None:
    """What is recorded waits to be sent."""
    page.get_by_role("button", name=RECORD).click()
    page.wait_for_timeout(milliseconds)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_role("button", name="Send recording")).to_be_focused()


class Visit:
    """One person's browser window, what it complained about, and every address that it asked for something."""

    def __init__(self, browser: Browser, url: str, person: Person, script: str = "", **options: Any) -> None:
        """`script` runs before the page's own."""
        settings = {"viewport": {"width": 1200, "height": 800}, "locale": "en-GB", **options}
        self.context: BrowserContext = browser.new_context(**settings)
        self.context.add_init_script(LISTEN_IN + script)
        self.context.set_default_timeout(_PATIENCE_S * 1000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        self.context.on("request", lambda request: self.asked.add(request.url))
        self.answered: set[str] = set()
        self.context.on("response", lambda response: self.answered.add(response.url))
        self.context.on("console", lambda said: self._hear(said.type, said.text))
        self.context.on("weberror", lambda thrown: self.complaints.append(str(thrown.error)))
        self.url = url
        self._person = person
        self.page.goto(f"{url}/#token={person.token}")

    def open(self, thread: Thread) -> Page:
        self.page.get_by_role("link", name=re.compile(thread.title)).click()
        self.page.get_by_role("heading", name=thread.title).wait_for()
        return self.page

    def open_anew(self, thread: Thread) -> Page:
        """In another tab, which is the visitor's from then on."""
        self.page = self.context.new_page()
        self.page.goto(f"{self.url}/#token={self._person.token}")
        return self.open(thread)

    def bubble(self, message: dict[str, Any]) -> Locator:
        return self.page.locator(f'li[data-id="{message["id"]}"] voice-message')

    def step_into(self, message: dict[str, Any]) -> None:
        """Moves over the text until its words are there: after a change they are asked for at the next move."""
        text = self.bubble(message).locator(".text")
        self.wait_until(
            lambda: text.hover(position={"x": 5 + time.monotonic() % 1 * 10, "y": 5}) or text.locator(".word").count(),
            "words come",
        )

    def sounding(self) -> list[dict[str, Any]]:
        """What sounds now: where it is, seconds of it that have sounded, its speed and its source."""
        return list(self.page.evaluate("sounding()"))

    def wait_for_sound(self, seconds: float = 0.2) -> None:
        self._wait_for(f"sounds.some(s => !s.paused && s.currentTime > {seconds})")

    def wait_for_events(self) -> None:
        """Until the page is told what happens when it happens."""
        self.wait_until(lambda: any("/v1/events" in url for url in self.answered), "events come")

    def wait_for_silence(self) -> None:
        self._wait_for("sounds.every(s => s.paused)")

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < until, f"In vain waited until {what}"
            self.page.wait_for_timeout(30)

    def forgive(self, *complaints: str) -> None:
        """The browser itself reports requests that a test makes fail."""
        self.complaints = [said for said in self.complaints if not any(each in said for each in complaints)]

    def close(self) -> None:
        self.page.unroute_all(behavior="wait")
        self.context.close()

    def _wait_for(self, condition: str) -> None:
        # The library's own waiting would need eval, which the page's policy forbids.
        self.wait_until(lambda: self.page.evaluate(condition), condition)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)
