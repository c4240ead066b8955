"""From the last byte of a recording to the word that it is ready, against the bare ffmpeg commands that make the same.

The whole product on one machine, nothing else to do: upload over HTTP, ring, claim, S3 both ways, jail, commit, event.
"""

import http.client
import json
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from benchmarks.media import bare_message, recording
from pipeline.tokens import sign
from tests.stack import running_product

RESULTS = Path(__file__).parent / "results" / "ready.json"
SECONDS = (3, 10, 60)
TURNS = 9
BOUND = 1.6
# Of the length that the bound is for.
BOUND_SECONDS = 10


class Client:
    """One person, who follows their own events."""

    def __init__(self, url: str, secret: str) -> None:
        self._place = urlsplit(url).netloc
        self._authorization = {"Authorization": f"Bearer {sign(secret, 'alice')}"}
        self._heard: Queue[tuple[float, str, Any]] = Queue()
        self._thread = self._asked("/v1/threads", b'{"participants": []}')["id"]

    @contextmanager
    def listening(self) -> Iterator[None]:
        connection = http.client.HTTPConnection(self._place)
        connection.request("GET", "/v1/events", headers=self._authorization)
        stream = connection.getresponse()
        listener = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        listener.start()
        yield
        connection.sock.shutdown(2)

    def ready_s(self, body: bytes) -> float:
        """Waits for the text, too, so that the machine is idle afterwards."""
        connection = http.client.HTTPConnection(self._place)
        connection.putrequest("POST", f"/v1/threads/{self._thread}/voice-messages")
        for name, value in {**self._authorization, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        began = time.perf_counter()
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        message: str = json.load(answer)["id"]
        ready = self._waited("voice.ready", message)
        self._waited("transcript.completed", message)
        return ready - began

    def _waited(self, event: str, message: str) -> float:
        while True:
            at, kind, data = self._heard.get(timeout=60)
            if (kind, data["id"]) == (event, message):
                return at

    def _listen(self, stream: http.client.HTTPResponse) -> None:
        kind = ""
        for line in iter(stream.readline, b""):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                self._heard.put((time.perf_counter(), kind, json.loads(value)))

    def _asked(self, path: str, body: bytes) -> Any:
        connection = http.client.HTTPConnection(self._place)
        headers = {**self._authorization, "Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
        connection.request("POST", path, body, headers)
        return json.load(connection.getresponse())


def main() -> None:
    """Print a table and write `results/ready.json`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_product(folder / "product") as product:
            client = Client(product.url, product.jwt_secret)
            with client.listening():
                rows = [_row(client, folder, seconds) for seconds in SECONDS]
    _tell(rows)
    result = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0], "turns": TURNS, "lengths": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def _tell(rows: list[dict[str, float]]) -> None:
    for row in rows:
        print(f"{row['seconds']:>3} s{row['ready_ms']:8.0f} ms{row['bare_ms']:8.0f} ms bare{row['ratio']:8.2f}")
        if row["seconds"] == BOUND_SECONDS:
            print(f"     at most {BOUND}: {'yes' if row['ratio'] <= BOUND else 'NO'}")


def _row(client: Client, folder: Path, seconds: int) -> dict[str, float]:
    source = recording(folder, seconds)
    body = source.read_bytes()
    client.ready_s(body)
    turns = [(client.ready_s(body), bare_message(source, folder)) for _ in range(TURNS)]
    return {
        "seconds": seconds,
        "ready_ms": statistics.median(ours for ours, _ in turns) * 1000,
        "bare_ms": statistics.median(bare for _, bare in turns) * 1000,
        "ratio": statistics.median(ours / bare for ours, bare in turns),
    }


if __name__ == "__main__":
    sys.exit(main())
