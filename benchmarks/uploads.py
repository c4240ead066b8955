"""Uploads through the API against the same PUTs straight to the S3 server, and what large and slow clients cost.

The sides take turns, so that a busy machine slows both; ratios are medians over the turns. Clients, API, PostgreSQL and
S3 server share the machine's cores: where these are few, the ratios are those of the whole work that an upload makes.
"""

import json
import os
import statistics
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

from benchmarks._upload_load import Load, pressed, relayed, resumable, single, straight
from benchmarks._upload_servers import Servers, running
from benchmarks._upload_slow import slow_connections
from tests.tus_conformance import own
from tests.tus_conformance.target import recording

RESULTS = Path(__file__).parent / "results" / "uploads.json"
TURNS = 9
_SETTLE_S = 0.5
CLIENTS = 16
SMALL, LARGE, LARGEST = 240_000, 5_000_000, 25_000_000
MANY = 200
SLOW = 500
# The sides that are compared with each other.
TOGETHER = (("straight", "relay", "single", "keyed"), ("single", "tus_small"), ("single_large", "tus_large"))
# Name, what it is measured as, the bound, and whether the bound is a floor.
BOUNDS = {
    "rate_to_straight": (0.5, True),
    "keyed_to_straight": (0.5, True),
    # A floor by what is left: beside the relay, which only reads, hashes and PUTs.
    "rate_to_relay": (0.5, True),
    "relay_to_straight": (0.5, True),
    "p95_to_straight": (3.0, False),
    "tus_small_to_single": (0.15, True),
    "tus_large_to_single": (0.5, True),
    "memory_above_idle_mb": (100.0, False),
    "p95_with_slow_to_without": (2.0, False),
}


class Bench:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._authorization = {"Authorization": f"Bearer {own.token('alice')}"}
        self._threads = [self._thread() for _ in range(CLIENTS)]
        self._small, self._large = recording(SMALL), recording(LARGE)

    def turn(self, *names: str) -> dict[str, Load]:
        """Each of these sides once, the small ones for two seconds: its first and its last requests, which are fewer
        than 16 at a time, are few among them."""
        sides: dict[str, Callable[[], Load]] = {
            "straight": lambda: self._pressed_straight(1920),
            "relay": lambda: pressed(self._servers.relay_url, [relayed(self._small)] * 1440, CLIENTS),
            "single": lambda: self.single(self._small, 960),
            "keyed": lambda: self._keyed(self._small, 960),
            "tus_small": lambda: self._resumable(self._small, 64 * 1024, 96),
            "single_large": lambda: self.single(self._large, 64),
            "tus_large": lambda: self._resumable(self._large, 512 * 1024, 64),
        }
        return {name: _settled(sides[name]) for name in names}

    def memory_mb(self) -> float:
        """How far above idle the API's memory rises under many large uploads at once."""
        idle = self._servers.api_bytes()
        with _highest(self._servers.api_bytes) as seen:
            self.single(recording(LARGEST), MANY, clients=MANY)
        return (max(seen) - idle) / 1e6

    def slow_turn(self) -> tuple[Load, Load]:
        """Without and with connections that send next to nothing, all of them once a second: in less than that the
        sixteen requests that wait for them are more, or less, than their part of all."""
        without = self.single(self._small, 960)
        with slow_connections(self._servers.api.url, SLOW, self._threads[0], self._authorization):
            return without, self.single(self._small, 960)

    def single(self, body: bytes, count: int, clients: int = CLIENTS) -> Load:
        sends = [single(self._next_thread(n), self._authorization, body) for n in range(count)]
        return pressed(self._servers.api.url, sends, clients)

    def _keyed(self, body: bytes, count: int) -> Load:
        """Each with an Idempotency-Key of its own."""
        keys = ({**self._authorization, "Idempotency-Key": str(uuid.uuid4())} for _ in range(count))
        sends = [single(self._next_thread(n), headers, body) for n, headers in enumerate(keys)]
        return pressed(self._servers.api.url, sends, CLIENTS)

    def _resumable(self, body: bytes, chunk: int, count: int) -> Load:
        sends = [resumable(self._next_thread(n), self._authorization, body, chunk) for n in range(count)]
        return pressed(self._servers.api.url, sends, CLIENTS)

    def _pressed_straight(self, count: int) -> Load:
        return pressed(
            self._servers.s3.endpoint_url, [straight(self._servers, self._small) for _ in range(count)], CLIENTS
        )

    def _next_thread(self, number: int) -> str:
        return self._threads[number % CLIENTS]

    def _thread(self) -> str:
        headers = {**self._authorization, "Content-Type": "application/json"}
        url = urljoin(self._servers.api.url, "/v1/threads")
        with urllib.request.urlopen(urllib.request.Request(url, b'{"participants": []}', headers)) as answer:
            return str(json.load(answer)["id"])


def main() -> None:
    """Print a table and write `results/uploads.json`."""
    with running() as servers:
        bench = Bench(servers)
        for names in TOGETHER:
            bench.turn(*names)
        # Apart: PostgreSQL clears up for seconds after uploads in pieces, while the PUT would have to share the cores.
        small, pieces, large = ([bench.turn(*names) for _ in range(TURNS)] for names in TOGETHER)
        slow = [bench.slow_turn() for _ in range(TURNS)]
        memory = bench.memory_mb()
    measured = {
        "rate_to_straight": _median(turn["single"].rate / turn["straight"].rate for turn in small),
        "keyed_to_straight": _median(turn["keyed"].rate / turn["straight"].rate for turn in small),
        "rate_to_relay": _median(turn["single"].rate / turn["relay"].rate for turn in small),
        "relay_to_straight": _median(turn["relay"].rate / turn["straight"].rate for turn in small),
        "p95_to_straight": _median(turn["single"].p95_s / turn["straight"].p95_s for turn in small),
        "tus_small_to_single": _median(turn["tus_small"].rate / turn["single"].rate for turn in pieces),
        "tus_large_to_single": _median(turn["tus_large"].rate / turn["single_large"].rate for turn in large),
        "memory_above_idle_mb": memory,
        "p95_with_slow_to_without": _median(with_slow.p95_s / without.p95_s for without, with_slow in slow),
    }
    loads = {name: [turn[name] for turn in turns] for turns in (large, pieces, small) for name in turns[0]}
    rates = {side: _median(load.rate for load in taken) for side, taken in loads.items()}
    p95 = {side: _median(load.p95_s for load in taken) * 1000 for side, taken in loads.items()}
    _tell(measured, rates, p95)
    result = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "api_processes": servers.processes,
        "turns": TURNS,
        "clients": CLIENTS,
        "per_second": rates,
        "p95_ms": p95,
        "measured": measured,
        "bounds": {name: bound for name, (bound, _) in BOUNDS.items()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def _tell(measured: dict[str, float], rates: dict[str, float], p95: dict[str, float]) -> None:
    for side, rate in rates.items():
        print(f"{side:14}{rate:8.1f}/s{p95[side]:8.0f} ms p95")
    for name, value in measured.items():
        bound, is_floor = BOUNDS[name]
        reached = value >= bound if is_floor else value <= bound
        print(f"{name:26}{value:8.2f}  {'at least' if is_floor else 'at most'} {bound:g}: {'yes' if reached else 'NO'}")


def _settled(side: Callable[[], Load]) -> Load:
    """Not while the disk is still busy with what the side before has written."""
    os.sync()
    time.sleep(_SETTLE_S)
    return side()


@contextmanager
def _highest(measure: Callable[[], int]) -> Iterator[list[int]]:
    seen, done = [measure()], threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(measure())
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    sys.exit(main())
