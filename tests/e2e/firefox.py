"""A stock Firefox, driven by WebDriver BiDi: the browser test library needs a Firefox of its own making."""

import base64
import itertools
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pipeline.embedded.ports import free_port
from tests.stack import missing

_PATIENCE_S = 60
_PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # Sounds without a sound card.
    "media.cubeb.force_mock_context": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
}


class Firefox:
    """One window. What a page evaluates may be a promise; plain values come back."""

    def __init__(self, port: int) -> None:
        self._socket = _WebSocket(port, "/session")
        self._numbers = itertools.count(1)
        self._call("session.new", capabilities={})
        self._context = self._call("browsingContext.getTree")["contexts"][0]["context"]

    def before_scripts(self, script: str) -> None:
        self._call("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    def go_to(self, url: str) -> None:
        self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        target = {"context": self._context}
        options = {"target": target, "awaitPromise": True, "userActivation": True}
        answer = self._call("script.evaluate", expression=f"JSON.stringify({expression})", **options)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"].get("value", "null"))

    def wait_for(self, condition: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < until, condition
            time.sleep(0.05)

    def close(self) -> None:
        self._socket.close()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.receive())).get("id") != number:
            pass
        assert answer["type"] == "success", (method, answer)
        return dict(answer["result"])


@contextmanager
def running_firefox(folder: Path) -> Iterator[Firefox]:
    """Skips where there is none; in CI that is a failure."""
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        missing("Firefox is not installed: apt-get install firefox-esr libavcodec59")
    preferences = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items())
    (folder / "user.js").write_text("\n".join(preferences))
    port = free_port()
    options = ["--headless", "--no-remote", f"--remote-debugging-port={port}", "--profile", os.fspath(folder)]
    process = subprocess.Popen(
        [found, *options, "about:blank"],
        env={**os.environ, "HOME": os.fspath(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with closing(_connected(port)) as browser:
            yield browser
    finally:
        process.terminate()
        process.wait(30)


def _connected(port: int) -> Firefox:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Firefox(port)
        except ConnectionRefusedError:
            assert time.monotonic() < until, "Firefox does not open its port"
            time.sleep(0.2)


class _WebSocket:
    """As much of RFC 6455 as one client on loopback needs."""

    def __init__(self, port: int, path: str) -> None:
        self._stream = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._stream.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self._file = self._stream.makefile("rb")
        assert b" 101 " in self._file.readline()
        while self._file.readline() != b"\r\n":
            pass

    def close(self) -> None:
        self._file.close()
        self._stream.close()

    def send(self, text: str) -> None:
        payload, mask = text.encode(), secrets.token_bytes(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        # Text, whole, masked.
        short = len(payload) < 126
        head = struct.pack(">BB", 0x81, 0x80 | len(payload)) if short else struct.pack(">BBH", 0x81, 0xFE, len(payload))
        self._stream.sendall(head + mask + masked)

    def receive(self) -> bytes:
        message = b""
        while True:
            first, length = self._file.read(2)
            if length > 125:
                (length,) = struct.unpack(">H" if length == 126 else ">Q", self._file.read(2 if length == 126 else 8))
            message += self._file.read(length)
            if first & 0x80:
                return message
