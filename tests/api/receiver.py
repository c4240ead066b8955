"""A stranger's server that webhooks are sent to, on loopback."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Answers each call with the next of `statuses`, the last one for good, when `before` has returned."""

    url: str
    statuses: list[int] = field(default_factory=lambda: [204])
    before: Callable[[], object] = lambda: None
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def contents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.calls]


@contextmanager
def receiving(
    statuses: Sequence[int] = (204,), answer: bytes = b"", headers: Mapping[str, str] | None = None
) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
            receiver.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
            receiver.before()
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", list(statuses))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
