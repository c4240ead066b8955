"""The page's files as they are sent."""

import re
from pathlib import Path

import httpx

import api
from tests.api.conftest import Server

PAGE = Path(api.__file__).parent / "page"


def test_files_are_sent_small_and_only_when_they_changed(server: Server) -> None:
    packed = httpx.get(f"{server.url}/main.js", headers={"Accept-Encoding": "gzip"})
    plain = httpx.get(f"{server.url}/main.js", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.content == plain.content == (PAGE / "main.js").read_bytes()
    assert "content-encoding" not in plain.headers
    assert "accept-encoding" in plain.headers["vary"].lower()
    again = httpx.get(f"{server.url}/main.js", headers={"If-None-Match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    changed = httpx.get(f"{server.url}/main.js", headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200
    assert httpx.head(f"{server.url}/main.js").content == b""


def test_the_page_names_all_of_its_modules_at_once(server: Server) -> None:
    """Else a browser would learn of them one import after the other."""
    named = set(re.findall(r'(?:href|src)="([\w-]+\.js)"', httpx.get(server.url).text))
    assert named == {file.name for file in PAGE.glob("*.js")}
