"""The bubble in a web application of another origin, as docs/voice-message.md tells it."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from pipeline.embedded import StackInfo
from tests.e2e.people import Person

_HOST = """<!doctype html>
<html lang="en">
<title>Host</title>
<script type="module">
  import {{ Client }} from "{url}/voice-message.js";
  const client = new Client("{url}", "{token}");
  const bubble = document.createElement("voice-message");
  bubble.client = client;
  bubble.message = await client.get("/v1/messages/{message}");
  document.body.append(bubble);
</script>
<body></body>
</html>"""

# The element is used before it is known, and without a token.
_EARLY = """<!doctype html>
<html lang="en">
<title>Host</title>
<body>
<script>
  const bubble = document.createElement("voice-message");
  bubble.message = {message};
  document.body.append(bubble);
</script>
<script type="module" src="{url}/voice-message.js"></script>
</body>
</html>"""

# Where the first and the last sign of a text stand.
_ENDS = """element => {
  const text = element.firstChild;
  return [0, text.length - 1].map((at) => {
    const range = document.createRange();
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    return range.getBoundingClientRect().left;
  });
}"""


@pytest.fixture
def spoken(alice: Person, bob: Person) -> dict[str, Any]:
    (message,) = bob.speak(bob.start_thread("alice"), "stereo.wav")
    return message


@pytest.fixture
def host() -> Iterator[Callable[[str], str]]:
    """Serves a page on another origin and returns its address."""
    with ExitStack() as stops:
        yield lambda page: stops.enter_context(_serving(page.encode()))


def test_a_bubble_plays_and_reads_on_another_origin(
    stack: StackInfo, chromium: Browser, alice: Person, spoken: dict[str, Any], host: Callable[[str], str]
) -> None:
    page = chromium.new_page()
    page.goto(host(_HOST.format(url=stack.url, token=alice.token, message=spoken["id"])))
    bubble = page.locator("voice-message")
    expect(bubble).to_contain_text("Please review the slides.")
    bubble.get_by_role("button", name="Play").click()
    expect(bubble.locator(".word.now")).to_be_visible()
    expect(bubble).not_to_have_attribute("data-unheard", "")
    bubble.get_by_role("button", name="More actions").click()
    with page.expect_download() as download:
        bubble.get_by_role("button", name="Download sound").click()
    assert download.value.path().stat().st_size > 1000
    page.close()


def test_a_message_alone_is_enough_to_play_and_read(
    stack: StackInfo, chromium: Browser, spoken: dict[str, Any], host: Callable[[str], str]
) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(host(_EARLY.format(url=stack.url, message=json.dumps(spoken))))
    bubble = page.locator("voice-message")
    expect(bubble).to_contain_text("Please review the slides.")
    expect(bubble.get_by_role("button", name="More actions")).to_be_hidden()
    bubble.get_by_role("button", name="Play").click()
    expect(bubble.get_by_role("slider")).to_have_attribute("aria-valuenow", re.compile("[12]000"))
    assert not [url for url in asked if "/v1/messages" in url]
    page.close()


def test_its_words_are_in_order_in_a_page_that_reads_from_right_to_left(
    stack: StackInfo, chromium: Browser, alice: Person, spoken: dict[str, Any], host: Callable[[str], str]
) -> None:
    page = chromium.new_page()
    arabic = _HOST.replace('lang="en"', 'lang="ar" dir="rtl"')
    page.goto(host(arabic.format(url=stack.url, token=alice.token, message=spoken["id"])))
    bubble = page.locator("voice-message")
    expect(bubble.get_by_role("article")).to_have_attribute("lang", "en")
    bubble.get_by_role("button", name="More actions").click()
    for item in ("Transcribe again…", "Download captions (VTT)"):
        first, last = bubble.get_by_role("button", name=item).evaluate(_ENDS)
        assert first < last
    page.close()


@contextmanager
def _serving(page: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
