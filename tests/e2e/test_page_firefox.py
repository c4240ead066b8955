"""The page in Firefox: listening, reading along, recording."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.embedded import StackInfo
from tests.e2e.browser import LISTEN_IN
from tests.e2e.firefox import Firefox, running_firefox
from tests.e2e.people import Person
from tests.stack import missing

_BUBBLE = 'document.querySelector("voice-message")'
_PLAY = f'{_BUBBLE}?.shadowRoot.querySelector(".play")'


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    with running_firefox(tmp_path) as browser:
        if not browser.evaluate("""new Audio().canPlayType('audio/mp4; codecs="mp4a.40.2"')"""):
            missing("this Firefox can't decode AAC: apt-get install libavcodec59")
        yield browser


def test_firefox_plays_follows_and_records(stack: StackInfo, alice: Person, bob: Person, firefox: Firefox) -> None:
    thread = bob.start_thread("alice")
    bob.speak(thread, "meeting.m4a")
    firefox.before_scripts(LISTEN_IN)
    firefox.go_to(f"{stack.url}/#token={alice.token}")
    firefox.wait_for('document.querySelector("h1")')
    firefox.evaluate(f'void (location.hash = "{thread.id}")')
    firefox.wait_for(_PLAY)
    firefox.evaluate(f"void {_PLAY}.click()")
    firefox.wait_for("sounds.some((sound) => !sound.paused && sound.currentTime > 1)")
    firefox.wait_for(f'{_BUBBLE}.shadowRoot.querySelector(".word.now")')
    firefox.evaluate(f"void {_PLAY}.click()")
    firefox.evaluate(f'void {_BUBBLE}.shadowRoot.querySelector(".more").click()')
    assert firefox.evaluate(f"""{_BUBBLE}.shadowRoot.querySelector(".menu:popover-open button").textContent""")
    _press(firefox, "Record a voice message")
    firefox.wait_for('document.querySelector(".clock")?.textContent === "0:01"')
    _press(firefox, "Stop recording")
    _press(firefox, "Send recording")
    firefox.wait_for('document.querySelectorAll("voice-message").length === 2')
    mine, _ = alice.messages(thread)
    assert alice.settled(mine["id"])["voice"]["state"] == "ready"
    assert firefox.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _press(firefox: Firefox, name: str) -> None:
    """As the keyboard does it."""
    button = f"document.querySelector('[aria-label=\"{name}\"]')"
    firefox.wait_for(button)
    firefox.evaluate(f"void {button}.click()")
