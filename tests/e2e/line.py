"""A line between a browser and the product, which a test can cut in the middle of a byte stream."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE_BYTES = 4096


class Line:
    """Passes TCP on to the product's address; `url` is this end."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._whole = True
        self._allowed: int | None = None
        self._begin = b""
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int, begin: bytes) -> None:
        """Lets so many bytes through to the product from where it reads `begin`, then breaks all until `mend`."""
        with self._lock:
            self._allowed, self._begin = size, begin

    def mend(self) -> None:
        with self._lock:
            self._whole, self._allowed = True, None

    @property
    def is_cut(self) -> bool:
        return not self._whole

    def close(self) -> None:
        self._listener.close()
        self._break()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole:
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._open |= {client, server}
            for source, sink, counts in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(source, sink, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while piece := source.recv(_PIECE_BYTES):
                sink.sendall(self._let_through(piece) if counts else piece)
        except OSError:
            pass
        for end in (source, sink):
            self._open.discard(end)
            _shut(end)

    def _let_through(self, piece: bytes) -> bytes:
        with self._lock:
            if self._allowed is None or self._begin not in piece:
                return piece
            self._begin = b""
            piece = piece[: self._allowed]
            self._allowed -= len(piece)
            if self._allowed == 0:
                self._whole = False
        if not self._whole:
            self._break()
        return piece

    def _break(self) -> None:
        self._whole = False
        for end in list(self._open):
            _shut(end)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def running_line(target: str) -> Iterator[Line]:
    line = Line(target)
    try:
        yield line
    finally:
        line.close()
