"""Threads: pages, search and events over HTTP, against a bare endpoint and against themselves."""

import argparse
import asyncio
import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from benchmarks._thread_rows import VIEWER, fill, settle, word
from benchmarks._thread_servers import SECRET, Servers, running
from pipeline.tokens import sign
from storage import messages, threads
from storage.database import Database

RESULTS = Path(__file__).parent / "results" / "threads.json"
CLIENTS = 4
ROUNDS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in each round")
    options = parser.parse_args()
    with running() as servers:
        began = time.perf_counter()
        long, ids = fill(servers.database, options.messages)
        short, _ = fill(servers.database, 100)
        settle(servers.database)
        print(f"{options.messages} messages written in {time.perf_counter() - began:.0f} s")
        results = {
            "messages": options.messages,
            "pages": pages(servers, long, short, options.seconds),
            "search": search(servers, ids),
            "events": asyncio.run(events(servers, options.streams)),
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    return 0


def pages(servers: Servers, long: str, short: str, seconds: float) -> dict[str, float]:
    """Requests a second, and ratios as medians over rounds in which all sides take turns."""
    bare = f"/threads/{long}/messages"
    sides = {
        "bare": (servers.bare, bare),
        "proxied": (servers.proxied, f"/v1{bare}"),
        "presigned": (servers.presigned, f"/v1{bare}"),
        "short": (servers.proxied, f"/v1/threads/{short}/messages"),
    }
    rounds = [{name: _rate(port, path, seconds) for name, (port, path) in sides.items()} for _ in range(ROUNDS)][1:]
    return {
        **{f"{name}_per_s": round(statistics.median(each[name] for each in rounds), 1) for name in sides},
        "proxied_to_bare": round(statistics.median(each["proxied"] / each["bare"] for each in rounds), 3),
        "presigned_to_bare": round(statistics.median(each["presigned"] / each["bare"] for each in rounds), 3),
        "short_to_long": round(statistics.median(each["short"] / each["proxied"] for each in rounds), 3),
    }


def search(servers: Servers, ids: Sequence[str]) -> dict[str, object]:
    """p95 in ms of queries of every kind, and how many times that of GET by id it is."""
    kinds = {
        "often": [word(rank) for rank in range(3, 13)],
        "seldom": [word(rank) for rank in range(5_000, 15_000, 1_000)],
        "two words": [f"{word(rank)} {word(rank * 3)}" for rank in range(5, 205, 20)],
        "begun": [word(rank)[:3] for rank in range(100, 2_100, 200)],
        "phrase": [f'"{word(rank)} {word(rank + 1)}"' for rank in range(10)],
        "nothing": [f"nobody says {rank}" for rank in range(10)],
    }
    by_id = [f"/v1/messages/{ids[number * 997 % len(ids)]}" for number in range(60)]
    paths = {kind: [f"/v1/search?q={quote(query)}" for query in queries] for kind, queries in kinds.items()}
    taken: dict[str, list[float]] = {"by id": [], **{kind: [] for kind in kinds}}
    for _ in range(ROUNDS):
        for kind, chosen in (("by id", by_id), *paths.items()):
            taken[kind] += _latencies(servers.proxied, chosen)
    of_all = _p95([each for kind in kinds for each in taken[kind]])
    return {
        "p95_ms": {kind: round(_p95(found) * 1000, 2) for kind, found in taken.items()},
        "all_p95_ms": round(of_all * 1000, 2),
        "all_to_by_id": round(of_all / _p95(taken["by id"]), 2),
    }


async def events(servers: Servers, streams: int, count: int = 300) -> dict[str, float]:
    """From a message's commit to each of its listeners, while `streams` people of half as many threads listen."""
    people = [f"listener-{number}" for number in range(streams)]
    arrived: dict[str, list[float]] = {}
    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(_listen(servers.proxied, person, arrived, ready)) for person in people]
    for _ in listeners:
        await ready.acquire()
    made = await asyncio.to_thread(_threads_of_two, servers.database, people)
    committed = await asyncio.to_thread(_write, servers.database, made, count)
    await asyncio.sleep(2)
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    taken = [moment - committed[message] for message, moments in arrived.items() for moment in moments]
    return {
        "streams": streams,
        "events": count,
        "expected": 2 * count,
        "arrived": len(taken),
        "p50_ms": round(statistics.median(taken) * 1000, 2),
        "p95_ms": round(_p95(taken) * 1000, 2),
    }


async def _listen(port: int, person: str, arrived: dict[str, list[float]], ready: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sign(SECRET, person)}\r\n\r\n"
    writer.write(head.encode())
    try:
        while line := await reader.readline():
            if line.startswith(b"retry:"):
                ready.release()
            if line.startswith(b"data: "):
                moment = time.perf_counter()
                arrived.setdefault(json.loads(line[6:])["id"], []).append(moment)
    finally:
        writer.close()


def _threads_of_two(database: Database, people: Sequence[str]) -> list[tuple[str, str]]:
    with database.transaction() as connection:
        return [
            (threads.create(connection, creator=one, members=[other])[0], one)
            for one, other in zip(people[::2], people[1::2], strict=True)
        ]


def _write(database: Database, made: Sequence[tuple[str, str]], count: int) -> dict[str, float]:
    """A message every 20 ms; returns when each was committed."""
    committed = {}
    for number in range(count):
        thread, sender = made[number * 7 % len(made)]
        with database.transaction() as connection:
            message = messages.add_text(connection, thread, sender, f"message {number}")
        committed[message] = time.perf_counter()
        time.sleep(0.02)
    return committed


def _rate(port: int, path: str, seconds: float) -> float:
    """Answers a second to some clients that ask again as soon as they are answered."""
    until = time.perf_counter() + seconds
    counts: list[int] = []

    def client() -> None:
        connection, count = _connected(port), 0
        while time.perf_counter() < until:
            _get(connection, path)
            count += 1
        counts.append(count)
        connection.close()

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return sum(counts) / seconds


def _latencies(port: int, paths: Sequence[str]) -> list[float]:
    connection = _connected(port)
    taken = [_timed(lambda path=path: _get(connection, path)) for path in paths]  # type: ignore[misc]
    connection.close()
    return taken


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _connected(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def _get(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path, headers={"Authorization": f"Bearer {_TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")


def _p95(taken: Sequence[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.95)]


_TOKEN = sign(SECRET, VIEWER)

if __name__ == "__main__":
    main()
