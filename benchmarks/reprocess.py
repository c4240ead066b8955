"""Reprocessing: what the machinery costs, whether it stays the same, and what people notice of it."""

import argparse
import json
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import text

from benchmarks._reprocess_live import live
from benchmarks._reprocess_throughput import throughput
from benchmarks._reprocess_world import (
    begin,
    drain,
    fill,
    messages_done,
    messages_queued,
    moving,
    running,
    store_speech,
)
from benchmarks.load import make_load
from pipeline import reprocess_walker
from pipeline.context import Context
from transcribe import Clip, Segment, Transcript, Word
from transcribe.clip import SAMPLE_RATE
from transcribe.protocol import Outcome, nothing

RESULTS = Path(__file__).parent / "results" / "reprocess.json"
TENTHS = 10
TURN = 40


class Stub:
    """Says at once what a message of four seconds says."""

    model, version = "stub", "1"

    def __init__(self) -> None:
        words = ["can", "we", "meet", "at", "four", "on", "friday", "and", "bring", "the", "new", "maps"]
        timed = tuple(Word(300 * n, 300 * n + 250, word, 0.9) for n, word in enumerate(words))
        spoken = " ".join(words)
        segments = (Segment(0, 3600, spoken, timed),)
        self._said = Transcript("completed", "en", 0.9, spoken, segments, self.model, -0.1)

    def transcribe(self, clips: Sequence[Clip], between: Callable[[], None] = nothing) -> list[Outcome]:
        return [self._said for _ in clips]

    def close(self) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[name for name, _ in PARTS])
    parser.add_argument("--messages", type=int, default=20_000, help="of the run through the stub engine")
    parser.add_argument("--rows", type=int, default=1_000_000, help="that are walked")
    parser.add_argument("--spoken", type=int, default=200, help="that a real engine transcribes")
    parser.add_argument("--live", type=int, default=40, help="live messages with and without a run beside them")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, part in PARTS:
        if options.only in (None, name):
            results[name] = part(options)
            print(json.dumps({name: results[name]}, indent=1), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def machinery(options: argparse.Namespace) -> dict[str, Any]:
    """Claim, read, stub engine, put, complete: one worker process, everything else on the same machine."""
    with running() as context, moving(context):
        context.engine = Stub()
        fill(context, options.messages, _one_recording(context))
        run_id = begin(context, options.messages)
        finished = _follow(context, run_id, options.messages)
        began, worker_s, servers_s = time.perf_counter(), time.process_time(), sum(_servers_cpu_s())
        drain(context, run_id, options.messages)
        seconds, worker_s = time.perf_counter() - began, time.process_time() - worker_s
        servers_s = sum(_servers_cpu_s()) - servers_s
        seen = finished()
    return {
        "messages": options.messages,
        "messages_per_s": round(options.messages / seconds, 1),
        "ms_per_message": round(1000 * seconds / options.messages, 2),
        "worker_cpu_ms_per_message": round(1000 * worker_s / options.messages, 2),
        "postgres_redis_s3_cpu_ms_per_message": round(1000 * servers_s / options.messages, 2),
        "messages_per_cpu_s_of_all": round(options.messages / (worker_s + servers_s), 1),
        "messages_per_s_by_tenths": [round(1 / each, 1) for each in _by_tenths(seen, options.messages, 0)],
        "cpu_ms_by_tenths": {
            name: [round(1000 * each, 2) for each in _by_tenths(seen, options.messages, column)]
            for column, name in ((1, "worker"), (2, "postgres_redis"), (3, "s3"))
        },
        "least": {"messages_per_s": 60, "at_most_ms_per_message": 15},
    }


def walking(options: argparse.Namespace) -> dict[str, Any]:
    """The walker alone: a consumer only deletes the jobs that it makes."""
    with running() as context:
        fill(context, options.rows)
        run_id = begin(context, options.rows)
        stop = threading.Event()
        consumer = threading.Thread(target=_delete_jobs, args=(context, run_id, stop))
        consumer.start()
        memory, marks, began = [_memory_mb()], [0.0], time.perf_counter()
        while (queued := messages_queued(context, run_id)) < options.rows:
            if queued >= options.rows * len(marks) / TENTHS:
                marks.append(time.perf_counter() - began)
                memory.append(_memory_mb())
            reprocess_walker.walk(context)
        seconds = time.perf_counter() - began
        marks.append(seconds)
        memory.append(_memory_mb())
        stop.set()
        consumer.join()
    tenth = options.rows / TENTHS
    return {
        "consumer": "only deletes jobs",
        "rows": options.rows,
        "rows_per_s": round(options.rows / seconds),
        "rows_per_s_by_tenths": [round(tenth / (b - a)) for a, b in pairwise(marks)],
        "memory_mb": [round(each, 1) for each in (memory[0], max(memory), memory[-1])],
        "least": {"rows_per_s": 5000},
    }


# When; processor seconds by then of this process, of PostgreSQL and Redis, and of the S3 server; messages done.
Seen = tuple[float, float, float, float, int]


def _follow(context: Context, run_id: str, total: int) -> Callable[[], list[Seen]]:
    seen: list[Seen] = []

    def look() -> None:
        while not seen or seen[-1][-1] < total:
            clocks = time.perf_counter(), time.process_time(), *_servers_cpu_s()
            seen.append((*clocks, messages_done(context, run_id)))
            time.sleep(0.5)

    watcher = threading.Thread(target=look)
    watcher.start()

    def finish() -> list[Seen]:
        watcher.join()
        return seen

    return finish


def _by_tenths(seen: Sequence[Seen], total: int, column: int) -> list[float]:
    """Seconds by one of the clocks for a message, in each tenth of the work."""
    counts = [each[-1] for each in seen]
    first = max(next(number for number, count in enumerate(counts) if count) - 1, 0)
    clock = [each[column] for each in seen[first:]]
    marks = np.interp(np.linspace(0, total, TENTHS + 1), counts[first:], clock)
    return [float(step) * TENTHS / total for step in np.diff(marks)]


def _delete_jobs(context: Context, run_id: str, stop: threading.Event) -> None:
    while not stop.is_set():
        with context.database.transaction() as connection:
            gone = connection.execute(text("DELETE FROM jobs WHERE run_id = :id AND state = 'queued'"), {"id": run_id})
        if not gone.rowcount:
            time.sleep(0.005)


def _one_recording(context: Context) -> str:
    """The key of four seconds of speech."""
    return store_speech(context, "msg_shared", make_load(1)[0].samples[: 4 * SAMPLE_RATE])


def _servers_cpu_s() -> tuple[float, float]:
    """Of PostgreSQL and Redis, and of the S3 server, as this process has started them."""
    spent = {"s3": 0.0, "others": 0.0}
    for each in psutil.Process().children(recursive=True):
        used = each.cpu_times()
        spent["s3" if each.name() == "rclone" else "others"] += used.user + used.system
    return spent["others"], spent["s3"]


def _memory_mb() -> float:
    """Resident now, not at its peak."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


PARTS: Sequence[tuple[str, Callable[[argparse.Namespace], dict[str, Any]]]] = (
    ("machinery", machinery),
    ("walking", walking),
    ("throughput", throughput),
    ("live", live),
)


if __name__ == "__main__":
    os.environ.setdefault("EARSHOT_LOG_LEVEL", "WARNING")
    raise SystemExit(main())
