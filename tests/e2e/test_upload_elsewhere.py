"""A page of another origin uploads by tus in a real browser, which shows it only what it may see."""

import base64
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.embedded import StackInfo
from tests.e2e.people import SAMPLES, Person

_UPLOAD = """async ([endpoint, token, thread, encoded]) => {
  const body = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  const common = { Authorization: `Bearer ${token}`, "Tus-Resumable": "1.0.0" };
  const send = async (method, url, more, part) => {
    const answer = await fetch(url, { method, headers: { ...common, ...more }, body: part });
    return { status: answer.status, headers: Object.fromEntries(answer.headers) };
  };
  const chunk = (offset) => ({ "Content-Type": "application/offset+octet-stream", "Upload-Offset": `${offset}` });
  const digest = async (part) => {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
    return { "Upload-Checksum": `sha256 ${btoa(String.fromCharCode(...bytes))}` };
  };
  const half = body.length >> 1;
  const options = await send("OPTIONS", endpoint);
  const created = await send("POST", endpoint, {
    "Upload-Length": `${body.length}`, "Upload-Metadata": `thread_id ${btoa(thread)}`, "Idempotency-Key": "once",
  });
  const url = new URL(created.headers.location, endpoint).href;
  const first = await send("PATCH", url, { ...chunk(0), ...(await digest(body.slice(0, half))) }, body.slice(0, half));
  const wrong = await send("PATCH", url, chunk(0), body.slice(0, half));
  const look = await send("HEAD", url);
  const last = await send("PATCH", url, chunk(half), body.slice(half));
  return { options, created, first, wrong, look, last };
}"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of an empty page on another origin."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Elsewhere</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_elsewhere_uploads_in_pieces(chromium: Browser, elsewhere: str, stack: StackInfo, alice: Person) -> None:
    recording = (SAMPLES / "room.m4a").read_bytes()
    page = chromium.new_page()
    page.goto(elsewhere)
    endpoint, thread = f"{stack.url}/v1/uploads", alice.start_thread()
    seen = page.evaluate(_UPLOAD, [endpoint, alice.token, thread.id, base64.b64encode(recording).decode()])
    statuses = {step: answer["status"] for step, answer in seen.items()}
    assert statuses == {"options": 204, "created": 201, "first": 204, "wrong": 409, "look": 200, "last": 204}
    half, whole = str(len(recording) // 2), str(len(recording))
    assert "creation" in seen["options"]["headers"]["tus-extension"]
    assert seen["options"]["headers"]["tus-max-size"]
    assert seen["created"]["headers"]["upload-expires"]
    assert seen["first"]["headers"]["upload-offset"] == half
    assert (seen["look"]["headers"]["upload-offset"], seen["look"]["headers"]["upload-length"]) == (half, whole)
    assert seen["wrong"]["headers"]["tus-resumable"] == "1.0.0"
    assert seen["last"]["headers"]["upload-offset"] == whole
    assert alice.settled(seen["last"]["headers"]["earshot-message-id"])["voice"]["state"] == "ready"
    page.close()
