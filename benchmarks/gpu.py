"""Speech on a GPU: the engine against faster-whisper on the same card, what one card serves, and how right it is.

`--device cpu` tries the script out where there is none.
"""

import argparse
import itertools
import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ctranslate2

from benchmarks.base_shape import make_base_shape
from benchmarks.load import Message, make_load
from benchmarks.speech_accuracy import accuracy
from benchmarks.speech_sides import (
    EQUAL_WORK,
    Read,
    Side,
    engine_for,
    equal_faster_whisper,
    faster_whisper,
    ours,
)

RESULTS = Path(__file__).parent / "results" / "gpu.json"
TURNS = 5
# As long as those that others report requests per second for.
SHORT_S, SHORT = 4.7, 64
# How many messages are claimed at once, and by how many workers.
CLAIMS = [(8, 1), (4, 2), (8, 2), (8, 3), (64, 1), (64, 2), (64, 3)]
SERVED_S = 3.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every comparison and write RESULTS; without a GPU only say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=256)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not ctranslate2.get_cuda_device_count():
        print("gpu: there is none here")
        return
    messages = make_load(options.messages)
    base = str(make_base_shape(Path(tempfile.gettempdir()) / "earshot-bench" / "base-shape"))
    report = {
        "card": _card(options.device),
        "messages": len(messages),
        "against": _against(_short(messages), base, options.device),
        "served": _served(messages, base, options.device),
        "micro": _micro(messages, options.device),
    }
    if options.device == "cuda":
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")


def _card(device: str) -> str:
    if device == "cpu":
        return "none"
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def _short(messages: Sequence[Message]) -> list[Message]:
    return sorted(messages, key=lambda message: abs(message.seconds - SHORT_S))[:SHORT]


def _against(messages: Sequence[Message], base: str, device: str) -> dict[str, Any]:
    """Messages per second: the medians of turns in which each side reads 16 of `messages`, ours all of them at once."""
    whisper = faster_whisper(base, device)
    engine = engine_for(base, words=False, policy=EQUAL_WORK, device=device)
    sides = {
        "faster-whisper beam 5": equal_faster_whisper("beam 5", whisper, 5),
        "faster-whisper beam 1, language given": equal_faster_whisper("beam 1", whisper, 1, language_given=True),
        "BatchedInferencePipeline, one call each": equal_faster_whisper("batched", whisper, 5, batched=True),
        "earshot": ours("earshot", engine),
        "earshot, language given": ours("earshot", engine, language_given=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS + 1):
        for name, side in sides.items():
            rate = _rate(side, messages if name.startswith("earshot") else messages[:16])
            rates[name] += [rate] if turn else []
    found = {name: round(statistics.median(all_of_it), 1) for name, all_of_it in rates.items()}
    for name, rate in found.items():
        print(f"  {name:42s}{rate:8.1f} messages/s", flush=True)
    return found


def _rate(side: Side, messages: Sequence[Message]) -> float:
    begin = time.perf_counter()
    side.run(messages)
    return len(messages) / (time.perf_counter() - begin)


def _served(messages: Sequence[Message], base: str, device: str) -> list[dict[str, Any]]:
    """What workers that share the card read, each claim after claim; language unknown."""
    loads = {"short": _short(messages), "all": messages}
    rows = []
    for words in (False, True):
        with _workers(max(workers for _, workers in CLAIMS), base, words, device) as workers:
            for (claim, count), (load, chosen) in itertools.product(CLAIMS, loads.items()):
                if (claim <= 8) == (load == "short"):
                    row = {"load": load, "word_times": words, "claim": claim, "workers": count}
                    rows.append(row | _claimed(workers[:count], chosen, claim))
                    print(f"  {rows[-1]}", flush=True)
    return rows


@contextmanager
def _workers(count: int, base: str, words: bool, device: str) -> Iterator[list[Connection]]:
    """Processes with an engine each, as speech workers are."""
    spawning = multiprocessing.get_context("spawn")
    pipes = [spawning.Pipe() for _ in range(count)]
    processes = [spawning.Process(target=_work, args=(end, base, words, device), daemon=True) for _, end in pipes]
    for process in processes:
        process.start()
    workers = [end for end, _ in pipes]
    yield workers
    for worker, process in zip(workers, processes, strict=True):
        worker.send(None)
        process.join()


def _work(orders: Connection, base: str, words: bool, device: str) -> None:
    side = ours("earshot", engine_for(base, words=words, policy=EQUAL_WORK, device=device))
    while order := orders.recv():
        messages, claim = order
        side.run(messages[:claim])
        orders.send("ready")
        orders.recv()
        orders.send(_claims(side, messages, claim))


def _claims(side: Side, messages: Sequence[Message], claim: int) -> list[float]:
    """Seconds of each claim, for SERVED_S."""
    took: list[float] = []
    endless = itertools.cycle(messages)
    end = time.perf_counter() + SERVED_S
    while (begin := time.perf_counter()) < end:
        side.run(list(itertools.islice(endless, claim)))
        took.append(time.perf_counter() - begin)
    return took


def _claimed(workers: Sequence[Connection], messages: Sequence[Message], claim: int) -> dict[str, float]:
    for number, worker in enumerate(workers):
        # Each another part of the load first.
        first = number * len(messages) // len(workers)
        worker.send(([*messages[first:], *messages[:first]], claim))
    for worker in workers:
        worker.recv()
    for worker in workers:
        worker.send("go")
    answers: list[list[float]] = [worker.recv() for worker in workers]
    rate = sum(claim * len(took) / sum(took) for took in answers)
    claim_s = statistics.median(itertools.chain.from_iterable(answers))
    return {"messages_per_s": round(rate, 1), "claim_ms": round(1000 * claim_s, 1)}


def _micro(messages: Sequence[Message], device: str) -> dict[str, Any]:
    """How right the bundled model is with everything on, there and on the processor."""
    reads: dict[str, list[Read]] = {}
    for name in dict.fromkeys((device, "cpu")):
        side = ours(name, engine_for("micro", device=name))
        reads[name] = [read for first in range(0, len(messages), 64) for read in side.run(messages[first : first + 64])]
    found: dict[str, Any] = {name: accuracy(messages, read) for name, read in reads.items()}
    found["same_texts"] = sum(a.text == b.text for a, b in zip(reads[device], reads["cpu"], strict=True))
    print(f"  micro: {found}")
    return found


if __name__ == "__main__":
    main()
