"""More workers, more throughput; and any of them may die. Workers of the batch lane on hosts of their own."""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import _scale_hosts
from benchmarks._scale_check import check, now, rows
from benchmarks._scale_hosts import Host, Hosts
from benchmarks._scale_servers import Servers, fill, running, transcribe_again
from pipeline.context import Context
from pipeline.embedded.process import Process

RESULTS = Path(__file__).parent / "results" / "scale_out.json"
WORKERS = (1, 2, 4)
LINEAR = 0.9
_DONE = (
    "SELECT j.worker, count(*) AS count, extract(epoch FROM max(t.finished_at)) AS last FROM transcripts t"
    " JOIN jobs j ON j.transcript_id = t.id WHERE t.id = ANY(:ids) GROUP BY j.worker"
)
# Longer than a lease.
_UNPLUGGED_S = 8.0


@dataclass(frozen=True)
class Turn:
    """Messages a second from the commit of the jobs: of each worker until its own last text, and of all until the last.

    The difference is a few seconds at the end, when one worker has the last claim and the others none. `busy` is how
    much of all processors somebody used, `ours` how much workers, servers and reaper did.
    """

    per_s: float
    whole_per_s: float
    busy: float
    ours: float


def main() -> int:
    """Prints tables and writes `results/scale_out.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=32, help="for each worker")
    parser.add_argument("--sleep", type=float, default=1.0, help="what the engine takes for a message, in seconds")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not _scale_hosts.inside():
        status = _scale_hosts.begin_inside("benchmarks.scale_out")
        if status is not None:
            return status
        print("this system gives us no network namespaces: workers are processes of this machine instead")
    hosts_running = _scale_hosts.running(max(WORKERS))
    with hosts_running as hosts, running(hosts.address, options.sleep) as servers, _reaping(servers):
        ids = fill(servers.context, max(WORKERS) * options.messages)
        rates = [throughputs(servers, hosts, ids, options.messages) for _ in range(options.turns)]
        result = {
            "hosts": hosts.kind,
            "cores": os.cpu_count(),
            "engine_s": options.sleep,
            "turns": options.turns,
            "throughput": summary(rates, options.sleep),
            "killed": killed(servers, hosts, ids, random.Random(options.seed)),
        }
        if hosts.kind == "namespaces":
            result["unplugged"] = unplugged(servers, hosts, ids)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


def throughputs(servers: Servers, hosts: Hosts, ids: Sequence[str], each: int) -> dict[int, Turn]:
    """By number of workers, with as many messages for each."""
    found = {}
    for count in WORKERS:
        with _working(servers, hosts.each[:count]):
            versions = transcribe_again(servers.context, list(ids[: count * each]))
            begun_at, began, busy, ours = now(servers.context), time.perf_counter(), _busy_s(), _our_s()
            _wait(servers.context)
            possible_s = (time.perf_counter() - began) * (os.cpu_count() or 1)
            done = rows(servers.context, _DONE, ids=list(versions.values()))
            found[count] = Turn(
                per_s=sum(row.count / (float(row.last) - begun_at) for row in done),
                whole_per_s=len(versions) / (max(float(row.last) for row in done) - begun_at),
                busy=(_busy_s() - busy) / possible_s,
                ours=(_our_s() - ours) / possible_s,
            )
            _tell(count, found[count])
            check(servers.context, versions)
    return found


def _tell(count: int, turn: Turn) -> None:
    print(f"{count} workers: {turn.per_s:.2f}/s, processors {turn.busy:.0%} busy, {turn.ours:.0%} with us", flush=True)


def summary(turns: Sequence[dict[int, Turn]], sleep_s: float) -> dict[str, dict[str, float]]:
    """Medians; `linear` is each turn's throughput against as many times that of one worker in the same turn."""
    return {str(count): _summed([(turn[count], turn[1]) for turn in turns], count, sleep_s) for count in WORKERS}


def _summed(pairs: Sequence[tuple[Turn, Turn]], count: int, sleep_s: float) -> dict[str, float]:
    linear = statistics.median(turn.per_s / alone.per_s / count for turn, alone in pairs)
    print(f"{count} workers: {linear:.2f} of linear, at least {LINEAR}: {'yes' if linear >= LINEAR else 'NO'}")
    measured = {
        "per_s": statistics.median(turn.per_s for turn, _ in pairs),
        "whole_per_s": statistics.median(turn.whole_per_s for turn, _ in pairs),
        "linear": linear,
        "machinery_ms": statistics.median(1000 * (count / turn.per_s - sleep_s) for turn, _ in pairs),
        "busy": statistics.median(turn.busy for turn, _ in pairs),
        "ours": statistics.median(turn.ours for turn, _ in pairs),
    }
    return {name: round(value, 3) for name, value in measured.items()}


def killed(servers: Servers, hosts: Hosts, ids: Sequence[str], chance: random.Random) -> dict[str, object]:
    """Every worker is killed at some moment while all have work, and started again."""
    moments = []
    with _working(servers, hosts.each) as workers:
        versions = transcribe_again(servers.context, list(ids))
        for number in chance.sample(range(len(workers)), len(workers)):
            moments.append(round(chance.uniform(0.5, 3), 2))
            time.sleep(moments[-1])
            os.kill(workers[number].pid, signal.SIGKILL)
            workers[number].wait(10)
            workers[number] = servers.worker(hosts.each[number])
        _wait(servers.context)
        return {"after_s": moments, **check(servers.context, versions)}


def unplugged(servers: Servers, hosts: Hosts, ids: Sequence[str]) -> dict[str, object]:
    """A host loses its network for longer than its leases, then comes back and finds its work done by others."""
    with _working(servers, hosts.each):
        versions = transcribe_again(servers.context, list(ids))
        time.sleep(3)
        hosts.each[0].unplug()
        time.sleep(_UNPLUGGED_S)
        hosts.each[0].plug_in()
        _wait(servers.context)
        return {"for_s": _UNPLUGGED_S, **check(servers.context, versions)}


@contextmanager
def _working(servers: Servers, hosts: Sequence[Host]) -> Iterator[list[Process]]:
    workers: list[Process] = []
    try:
        for host in hosts:
            workers.append(servers.worker(host))
        yield workers
    finally:
        for worker in workers:
            if worker.exit_status() is None:
                worker.ask_to_stop()
        for worker in workers:
            worker.end(patience_s=20)


@contextmanager
def _reaping(servers: Servers) -> Iterator[None]:
    reaper = servers.reaper()
    try:
        yield
    finally:
        reaper.ask_to_stop()
        reaper.end(patience_s=10)


def _wait(context: Context) -> None:
    while rows(context, "SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1"):
        time.sleep(0.2)


def _busy_s() -> float:
    """Processor seconds of everybody on this machine."""
    used = psutil.cpu_times()
    return sum(getattr(used, name) for name in ("user", "system", "nice", "irq", "softirq", "steal"))


def _our_s() -> float:
    """Of all that this benchmark started, with what they started and saw end."""
    return sum(sum(each.cpu_times()[:4]) for each in psutil.Process().children(recursive=True))


if __name__ == "__main__":
    sys.exit(main())
