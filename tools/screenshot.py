"""Takes docs/page.png, the picture in the README, with the whole stack behind it: `python -m tools.screenshot`."""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from pipeline.embedded import Stack, StackInfo
from tests.e2e.browser import Visit, running_chromium
from tests.e2e.people import Person, Thread

_TARGET = Path(__file__).parents[1] / "docs" / "page.png"
_NAMES = ("Alice Weber", "Bob Keller", "Carlos Ruiz", "Anna Lindqvist", "Mina Park")


def main() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), port=0, model="micro", environment=clean) as up:
        _photograph(up.info)
    sys.stdout.write(f"{_TARGET} {_TARGET.stat().st_size // 1024} kB\n")


def _photograph(stack: StackInfo) -> None:
    people = {name.split()[0]: Person(stack, name) for name in _NAMES}
    thread = _converse(people)
    with running_chromium() as browser:
        visit = Visit(browser, stack.url, people["Alice"], color_scheme="light", device_scale_factor=1)
        visit.page.evaluate("localStorage.setItem('earshot.rate', '1.5')")
        visit.page.reload()
        page = visit.page
        page.get_by_role("link", name="Bob Keller").click()
        late = page.locator("voice-message").last
        expect(late).to_contain_text("airport")
        page.wait_for_timeout(1500)
        late.get_by_role("button", name="Play").click()
        visit.wait_for_sound(2.45)
        _TARGET.parent.mkdir(exist_ok=True)
        page.mouse.move(1190, 60)
        page.screenshot(path=_TARGET)
        visit.close()
    for person in people.values():
        person.__exit__(None, None, None)
    assert thread.id in page.url


def _converse(people: dict[str, Person]) -> Thread:
    alice, bob, carlos, anna, mina = people.values()
    offsite = mina.start_thread(alice.name, bob.name, carlos.name, title="Team offsite")
    mina.write(offsite, "The house by the lake is booked. Bring walking shoes!")
    contract = anna.start_thread(alice.name, title="Contract")
    anna.speak(contract, "vertrag.mp3")
    report = carlos.start_thread(alice.name, title=carlos.name)
    carlos.speak(report, "informe.flac")
    thread = bob.start_thread(alice.name, title=bob.name)
    (question,) = alice.speak(thread, "meeting.m4a")
    bob.listen(question)
    bob.speak(thread, "answer.webm")
    alice.write(thread, "Great, I'll bring the second draft.")
    bob.speak(thread, "late.ogg")
    slides = mina.start_thread(alice.name, title=mina.name)
    mina.write(slides, "Can you look at the slides before noon?")
    mina.speak(slides, "stereo.wav")
    return thread


if __name__ == "__main__":
    main()
