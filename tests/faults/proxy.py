"""A TCP proxy on loopback that misbehaves on command, to stand between the product and one of its servers."""

import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from pipeline.embedded.ports import free_port

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
_HEAD = re.compile(rb"^(GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Trap:
    """Catches the first chunk towards the server in which `pattern` is found, from the process `pid` if that is given.

    What it caught goes no further until `release`; with `reply` it goes on, and nothing comes back instead.
    """

    pattern: re.Pattern[bytes]
    pid: int | None
    reply: bool
    caught: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False

    def catches(self, chunk: bytes, connection: "_Connection") -> bool:
        found = not self.caught.is_set() and self.pattern.search(chunk) is not None
        return found and self.pid in (None, connection.pid())

    def release(self) -> None:
        self.released.set()

    def drop(self) -> None:
        """What was caught is never said."""
        self.dropped = True
        self.released.set()

    def hold(self) -> None:
        self.caught.set()
        self.released.wait()
        if self.dropped:
            raise ConnectionResetError


class Proxy:
    """`mend` ends every fault and lets go of every trap. Faults hold for open connections and for new ones."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self.traps: list[Trap] = []
        self.flowing = threading.Event()
        self.mend()

    def mend(self) -> None:
        self.flowing.set()
        self.bytes_per_s = 0.0
        self.cut_after: int | None = None
        self.error_share = 0.0
        self.errors = 0
        self.twice: bytes | None = None
        self.doubled = 0
        for trap in self.traps:
            trap.release()
        self.traps = []
        if self._listener is None:
            self._listen()

    def refuse(self) -> None:
        """Nobody listens any more, and who was connected is no longer."""
        if self._listener is not None:
            # Wakes the thread that accepts, which would otherwise hold the socket open.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> None:
        with self._lock:
            doomed = list(self._connections)
        for connection in doomed:
            connection.reset()

    def stall(self) -> None:
        """Connections stay open and are accepted, and not a byte moves."""
        self.flowing.clear()

    def forget(self) -> None:
        """Connections that are open now stay so and are silent for good, as when a router forgot them."""
        with self._lock:
            for connection in self._connections:
                connection.forgotten = True

    def slow(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s

    def cut(self, after: int) -> None:
        """Each connection is reset once a client has sent that many bytes over it."""
        self.cut_after = after

    def fail(self, share: float, seed: int) -> None:
        """HTTP: this share of requests is answered with 503, at random, and goes no further."""
        self._chance = random.Random(seed)
        self.error_share = share

    def trap(self, *wanted: bytes | re.Pattern[bytes], pid: int | None = None, reply: bool = False) -> Trap:
        """Any of the `wanted` will do."""
        patterns = (each.pattern if isinstance(each, re.Pattern) else re.escape(each) for each in wanted)
        trap = Trap(re.compile(b"|".join(patterns)), pid, reply)
        self.traps.append(trap)
        return trap

    def double(self, pattern: bytes) -> None:
        """Each chunk in which this is found is said twice."""
        self.twice = pattern

    def fails_now(self) -> bool:
        failed = bool(self.error_share) and self._chance.random() < self.error_share
        self.errors += failed
        return failed

    def close(self) -> None:
        self.flowing.set()
        for trap in self.traps:
            trap.release()
        self.refuse()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, args=(self._listener,), name="proxy", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                # As if it had been refused: the client has nothing but a reset.
                _hang_up(client)
                continue
            server.settimeout(None)
            connection = _Connection(self, client, server, self._forget)
            with self._lock:
                self._connections.add(connection)
            if self._listener is not listener:
                connection.reset()
                return
            connection.start()

    def _forget(self, connection: "_Connection") -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection:
    def __init__(
        self, proxy: Proxy, client: socket.socket, server: socket.socket, ended: Callable[["_Connection"], None]
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._ended = ended
        self._sent = 0
        self._swallow = 0
        self._half_closed = 0
        self.forgotten = False
        self._over = threading.Event()
        self._held: Trap | None = None
        self._pid: int | None = None
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for pump in (self._up, self._down):
            threading.Thread(target=self._pumped, args=(pump,), name="proxy", daemon=True).start()

    def reset(self) -> None:
        self._over.set()
        _hang_up(self._client)
        _hang_up(self._server)
        self._ended(self)

    def pid(self) -> int | None:
        """Of the process at the other end."""
        if self._pid is None:
            port = self._client.getpeername()[1]
            pairs = ((each.laddr, each.pid) for each in psutil.net_connections("tcp4") if each.laddr)
            self._pid = next((pid for address, pid in pairs if address.port == port and pid), None)
        return self._pid

    def _pumped(self, pump: Callable[[], None]) -> None:
        try:
            pump()
        except OSError:
            self.reset()
        else:
            # Each side's end is passed on by itself; the connection is over when both have ended.
            self._half_closed += 1
            if self._half_closed == 2:
                self._client.close()
                self._server.close()
                self._ended(self)

    def _up(self) -> None:
        while chunk := self._client.recv(_CHUNK):
            self._wait(len(chunk))
            if self._refused(chunk):
                continue
            for trap in list(self._proxy.traps):
                if trap.catches(chunk, self):
                    self._caught_by(trap)
            self._sent += len(chunk)
            if self._proxy.cut_after is not None and self._sent > self._proxy.cut_after:
                raise ConnectionResetError
            if self._proxy.twice is not None and self._proxy.twice in chunk:
                self._server.sendall(chunk)
                self._proxy.doubled += 1
            self._server.sendall(chunk)
        self._server.shutdown(socket.SHUT_WR)

    def _down(self) -> None:
        while chunk := self._server.recv(_CHUNK):
            self._wait(len(chunk))
            if self._held is not None and not chunk.startswith(b"HTTP/1.1 100"):
                self._held.hold()
                self._held = None
            self._client.sendall(chunk)
        self._client.shutdown(socket.SHUT_WR)

    def _wait(self, size: int) -> None:
        self._proxy.flowing.wait()
        if self.forgotten:
            self._over.wait()
        if self._proxy.bytes_per_s:
            time.sleep(size / self._proxy.bytes_per_s)

    def _caught_by(self, trap: Trap) -> None:
        if trap.reply:
            self._held = trap
        else:
            trap.hold()

    def _refused(self, chunk: bytes) -> bool:
        """Answers a request by itself, and swallows the body that follows."""
        if self._swallow > 0:
            self._swallow -= len(chunk)
            return True
        if not _HEAD.match(chunk) or not self._proxy.fails_now():
            return False
        head, _, begun = chunk.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        self._swallow = (int(length[1]) if length else 0) - len(begun)
        self._client.sendall(_UNAVAILABLE)
        return True


def _hang_up(side: socket.socket) -> None:
    """A reset, also under a thread that waits for data."""
    with suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        side.shutdown(socket.SHUT_RD)
    side.close()
