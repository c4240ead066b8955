"""The bubble in a web application of another origin, as docs/voice-message.md tells it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


@pytest.fixture
def host(stack: StackInfo, alice: Person, bob: Person) -> Iterator[str]:
    """The address of a page on another origin that shows one message."""
    (spoken,) = bob.speak(bob.start_thread("alice"), "stereo.wav")
    page = _HOST.format(url=stack.url, token=alice.token, message=spoken["id"]).encode()

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


def test_a_bubble_plays_and_reads_on_another_origin(chromium: Browser, host: str) -> None:
    page = chromium.new_page()
    page.goto(host)
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
