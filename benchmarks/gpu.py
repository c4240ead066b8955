"""Speech on a GPU: the engine against faster-whisper on the same card, what one card serves, and how right it is.

`--device cpu` tries the script out where there is none.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
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
# How many messages are claimed at once, and by how many callers.
CLAIMS = [(8, 1), (4, 2), (8, 2), (64, 1), (64, 2), (256, 1)]


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
    """What callers get who claim so many at a time, one claim after the other; language unknown."""
    loads = {"short": _short(messages), "all": messages}
    rows = []
    for words in (False, True):
        side = ours("earshot", engine_for(base, words=words, policy=EQUAL_WORK, device=device))
        for (claim, callers), (load, chosen) in itertools.product(CLAIMS, loads.items()):
            if (claim <= 8) == (load == "short"):
                row = {"load": load, "word_times": words, "claim": claim, "callers": callers}
                rows.append(row | _claimed(side, chosen, claim, callers))
                print(f"  {rows[-1]}", flush=True)
    return rows


def _claimed(side: Side, messages: Sequence[Message], claim: int, callers: int, seconds: float = 3.0) -> dict[str, Any]:
    took: list[float] = []
    endless = itertools.cycle(messages)
    until = time.perf_counter() + seconds
    lock = threading.Lock()

    def call() -> None:
        while (begin := time.perf_counter()) < until:
            with lock:
                claimed = list(itertools.islice(endless, claim))
            side.run(claimed)
            took.append(time.perf_counter() - begin)

    side.run(messages[:claim])
    begin = time.perf_counter()
    until = begin + seconds
    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = claim * len(took) / (time.perf_counter() - begin)
    return {"messages_per_s": round(rate, 1), "claim_ms": round(1000 * statistics.median(took), 1)}


def _micro(messages: Sequence[Message], device: str) -> dict[str, Any]:
    """The bundled model with everything on, there and on the processor; who reads alone is read like all the others."""
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
