"""Searching on the page."""

import re

from playwright.sync_api import expect

from pipeline.embedded import StackInfo
from tests.e2e.conftest import Visiting
from tests.e2e.people import Person


def test_a_hit_opens_its_thread_and_plays_from_the_word(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    (spoken,) = bob.speak(thread, "answer.webm")
    for number in range(40):
        bob.write(thread, f"Later {number}")
    visitor = visit(alice)
    page = visitor.page
    page.get_by_label("Search messages").fill("coffee shop")
    hit = page.get_by_role("list", name="Found messages").get_by_role("link").first
    expect(hit.locator("mark").first).to_have_text("coffee")
    expect(hit).to_contain_text(f"bob in {thread.title}")
    hit.click()
    expect(visitor.bubble(spoken)).to_be_in_viewport()
    visitor.wait_for_sound(2)
    expect(visitor.bubble(spoken).locator(".word.now")).to_have_text(re.compile("coffee|shop|at|three"))


def test_a_hit_says_where_it_is_however_old_its_thread(stack: StackInfo, bob: Person, visit: Visiting) -> None:
    with Person(stack, "a person with many old threads") as popular:
        old = bob.start_thread(popular.name)
        for number in range(2):
            bob.write(old, f"Quinces {number}")
        for _ in range(100):
            bob.start_thread(popular.name)
        page = visit(popular).page
        expect(page.get_by_role("navigation", name="Threads").get_by_role("link")).to_have_count(100)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.url.endswith(old.id) else None)
        page.get_by_label("Search messages").fill("quinces")
        hits = page.get_by_role("list", name="Found messages").get_by_role("link")
        expect(hits).to_contain_text([f"bob in {old.title}"] * 2)
        assert len(asked) == 1


def test_a_text_is_found_and_a_search_is_left_by_escape(alice: Person, bob: Person, visit: Visiting) -> None:
    thread = bob.start_thread("alice")
    bob.write(thread, "The marmalade is in the cellar")
    page = visit(alice).page
    page.get_by_label("Search messages").fill("marmalade")
    expect(page.get_by_role("list", name="Found messages")).to_contain_text("marmalade is in the cellar")
    page.get_by_label("Search messages").fill("xylophone")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_label("Search messages").press("Escape")
    expect(page.get_by_role("link", name=re.compile(thread.title))).to_be_visible()
