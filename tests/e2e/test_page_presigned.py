"""The page where the browser fetches recordings from S3 itself."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from pipeline.embedded import StackInfo
from tests.e2e.browser import Visit
from tests.e2e.people import Person
from tests.stack import running_product

_PLAY_ELSEWHERE = """new Promise((resolve) => {
  addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
  new Audio("http://127.0.0.1:9/x.m4a");
})"""


@pytest.fixture(scope="module")
def presigned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    with running_product(tmp_path_factory.mktemp("presigned"), EARSHOT_PLAYBACK="presigned") as info:
        yield info


def test_recordings_come_from_s3_and_from_nowhere_else(presigned: StackInfo, chromium: Browser) -> None:
    with Person(presigned, "alice") as alice, Person(presigned, "bob") as bob:
        thread = bob.start_thread("alice")
        (spoken,) = bob.speak(thread, "answer.webm")
        s3 = _origin(spoken["voice"]["renditions"][0]["url"])
        assert s3 != _origin(presigned.url)
        policy = httpx.get(presigned.url).headers["content-security-policy"]
        assert f"media-src 'self' {s3} blob:" in policy
        visitor = Visit(chromium, presigned.url, alice)
        visitor.open(thread)
        bubble = visitor.bubble(spoken)
        bubble.get_by_role("button", name="Play").click()
        visitor.wait_for_sound()
        assert _origin(visitor.sounding()[0]["src"]) == s3
        bubble.get_by_role("slider").press("ArrowRight")
        visitor.wait_for_sound(2)
        bubble.get_by_role("button", name="More actions").click()
        with visitor.page.expect_download() as download:
            bubble.get_by_role("button", name="Download sound").click()
        assert download.value.suggested_filename == f"{spoken['id']}.m4a"
        # No other place may be played from.
        assert visitor.page.evaluate(_PLAY_ELSEWHERE) == "media-src"
        visitor.close()


def test_a_presigned_url_that_stopped_working_is_replaced(presigned: StackInfo, chromium: Browser) -> None:
    with Person(presigned, "alice") as alice, Person(presigned, "bob") as bob:
        thread = bob.start_thread("alice")
        (spoken,) = bob.speak(thread, "answer.webm")
        visitor = Visit(chromium, presigned.url, alice)

        def with_dead_urls(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20200101", answer.text()))

        visitor.page.route("**/v1/threads/*/messages*", with_dead_urls)
        visitor.open(thread)
        visitor.bubble(spoken).get_by_role("button", name="Play").click()
        visitor.wait_for_sound()
        expect(visitor.bubble(spoken).get_by_role("button", name="Pause")).to_be_visible()
        assert "20200101" not in visitor.sounding()[0]["src"]
        visitor.close()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
