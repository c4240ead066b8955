"""Speech: the engine against faster-whisper and against bare CTranslate2, on synthetic voice messages.

Sides take turns on the same part of the load, so that whatever else the machine does meets them alike; a ratio is
the median over the parts. Numbers of one machine: compare ratios, not seconds. The ratio by CPU time stands beside
it, because it says more where others use the machine too.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.base_shape import make_base_shape
from benchmarks.load import Message, make_load, make_voiceless
from benchmarks.speech_accuracy import accuracy, compared
from benchmarks.speech_memory import peak_memory
from benchmarks.speech_sides import (
    EQUAL_WORK,
    BareCTranslate2,
    Read,
    Side,
    engine_for,
    equal_faster_whisper,
    faster_whisper,
    ours,
    plain_faster_whisper,
)
from transcribe import Clip, Transcript
from transcribe.engine import FittedEngine
from transcribe.models import MICRO_PATH

RESULTS = Path(__file__).parent / "results" / "speech.json"
# A worker claims dozens of messages at once; smaller parts would measure the engine without its company.
PART = 40


@dataclass
class Measured:
    """One side over the whole load."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run every comparison, print them and write RESULTS. Returns what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--only", choices=list(RUNS), action="append")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "earshot-bench",
        help="where the random model is kept",
    )
    options = parser.parse_args(arguments)
    chosen = options.only or list(RUNS)
    base = str(make_base_shape(options.cache / "base-shape"))
    messages = make_load(options.messages)
    seconds = sum(message.seconds for message in messages)
    print(f"speech: {len(messages)} messages, mean {seconds / len(messages):.1f} s, {seconds / 60:.0f} min in all")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results["load"] = {"messages": len(messages), "seconds": round(seconds, 1)}
    for name in chosen:
        results[name] = RUNS[name](messages, base)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return results


def _base(messages: Sequence[Message], base: str) -> dict[str, Any]:
    """The shape of `base`, random weights, equal tokens, no checks on either side."""
    whisper = faster_whisper(base)
    engine = engine_for(base, words=False, policy=EQUAL_WORK)
    sides: list[Any] = [
        equal_faster_whisper("faster-whisper beam 5", whisper, 5),
        equal_faster_whisper("faster-whisper beam 1, language given", whisper, 1, language_given=True),
        equal_faster_whisper("BatchedInferencePipeline, one call each", whisper, 5, batched=True),
        BareCTranslate2("bare CTranslate2 encode + generate", engine),
        ours("earshot", engine),
        ours("earshot, language given", engine, language_given=True),
    ]
    measured = _take_turns("base shape", sides, messages)
    pairs = [
        ("earshot", "faster-whisper beam 5", 6.0),
        ("earshot, language given", "faster-whisper beam 1, language given", 4.0),
        ("earshot", "BatchedInferencePipeline, one call each", 4.0),
        ("earshot, language given", "bare CTranslate2 encode + generate", 0.85),
    ]
    return _report(sides, measured, pairs, len(messages))


def _micro(messages: Sequence[Message], _: str) -> dict[str, Any]:
    """The bundled model, nothing switched off."""
    micro = str(MICRO_PATH)
    whisper = faster_whisper(micro)
    sides = [
        plain_faster_whisper("faster-whisper", whisper),
        plain_faster_whisper("faster-whisper, word times", whisper, word_timestamps=True),
        ours("earshot", engine_for("micro", words=False)),
        ours("earshot, word times", engine_for("micro")),
        ours("earshot, full context", engine_for("micro", context="full")),
    ]
    measured = _take_turns("micro", sides, messages)
    pairs = [("earshot", "faster-whisper", 8.0), ("earshot, word times", "faster-whisper, word times", 6.0)]
    report = _report(sides, measured, pairs, len(messages))
    reads = {side.name: measured[side.name].reads for side in sides}
    for name in reads:
        report["sides"][name]["accuracy"] = accuracy(messages, reads[name])
        print(f"  {name:28s} {report['sides'][name]['accuracy']}")
    report["accuracy"] = [
        {"of": mine, "to": other} | compared(messages, reads[mine], reads[other]) for mine, other, _ in pairs
    ]
    for found in report["accuracy"]:
        print(f"  {found}")
    return report


def _silence(_: Sequence[Message], __: str) -> dict[str, Any]:
    """Recordings without a voice; any word is invented."""
    clips = make_voiceless()
    outcomes = engine_for("micro").transcribe([Clip(samples) for _, samples in clips])
    invented = {
        f"{number} {name}": outcome.text
        for number, ((name, _), outcome) in enumerate(zip(clips, outcomes, strict=True))
        if not isinstance(outcome, Transcript) or outcome.text
    }
    words = sum(len(text.split()) for text in invented.values())
    print(f"no speech: {words} invented words in {len(clips)} recordings {invented or ''}")
    return {"recordings": len(clips), "invented_words": words, "invented": invented}


def _live(messages: Sequence[Message], base: str) -> dict[str, Any]:
    """How much longer a 5 s message takes that comes at any moment while a batch is in hand, with `base`."""
    engine = engine_for(base, policy=EQUAL_WORK)
    clip = Clip(min(messages, key=lambda message: abs(message.seconds - 5)).samples)
    longest = sorted(messages, key=lambda message: message.seconds)[-2:]
    report: dict[str, Any] = {}
    for name, batch_engine, batch in (("usual", engine, messages), ("worst", _looping(engine), longest)):
        # Before and behind: what else the machine does meets both alike.
        alone = [_timed(engine, clip) for _ in range(7)][2:]
        during = _during(engine, clip, batch_engine, batch)
        alone += [_timed(engine, clip) for _ in range(5)]
        report[name] = _extra(alone, during)
        print(f"live message during a batch ({name}): {report[name]}", flush=True)
    return report


def _looping(engine: FittedEngine) -> FittedEngine:
    """The same model, each row decoded to its last possible token and then read again in full."""
    policy = replace(EQUAL_WORK, lowest_logprob=0.0, temperatures=(0.4,), tokens_per_second=15.0, spare_tokens=16)
    return replace(engine, reader=replace(engine.reader, policy=policy))


def _during(engine: FittedEngine, live: Clip, batch_engine: FittedEngine, batch: Sequence[Message]) -> list[float]:
    """Seconds from when a live message is due to its text."""
    coming, taken = iter(_arrivals(40 * len(batch))), []
    due = time.perf_counter() + next(coming)

    def between() -> None:
        nonlocal due
        while time.perf_counter() >= due:
            engine.transcribe([live])
            taken.append(time.perf_counter() - due)
            due = time.perf_counter() + next(coming)

    batch_engine.transcribe([Clip(message.samples) for message in batch], between)
    return taken


def _extra(alone: Sequence[float], during: Sequence[float]) -> dict[str, int]:
    usual = statistics.median(alone)
    waits = sorted(round(1000 * (seconds - usual)) for seconds in during)
    return {
        "alone_ms": round(1000 * usual),
        "extra_ms_median": round(statistics.median(waits)),
        "extra_ms_p95": waits[int(0.95 * (len(waits) - 1))],
        "extra_ms_most": waits[-1],
        "messages": len(waits),
    }


def _arrivals(count: int) -> list[float]:
    """Seconds from one to the next, as far apart as people who know nothing of each other."""
    return [random.Random(number).expovariate(4) for number in range(count)]


def _timed(engine: FittedEngine, clip: Clip) -> float:
    begin = time.perf_counter()
    engine.transcribe([clip])
    return time.perf_counter() - begin


def _memory(messages: Sequence[Message], base: str) -> dict[str, Any]:
    """Peak resident memory of one speech process, and of a bare faster-whisper process on the same messages."""
    part = list(messages[:40])
    found = {side: peak_memory(side, base, part) for side in ("earshot", "faster-whisper")}
    model = sum(file.stat().st_size for file in Path(base).iterdir()) / 1e6
    limit = 3 * model + 200
    ratio = round(found["earshot"] / found["faster-whisper"], 2)
    print(f"memory: {found}, {ratio} of faster-whisper's; model {model:.0f} MB, at most {limit:.0f} MB")
    return {"peak_mb": found, "ratio": ratio, "model_mb": round(model, 1), "limit_mb": round(limit, 1)}


def _take_turns(title: str, sides: Sequence[Any], messages: Sequence[Message]) -> dict[str, Measured]:
    measured = {side.name: Measured() for side in sides}
    count = max(1, len(messages) // PART)
    parts = [messages[first::count] for first in range(count)]
    for side in sides:
        side.prepare(parts[0][:4])
        side.run(parts[0][:4])
        side.work.__init__()
    for number, part in enumerate(parts, 1):
        for side in sides:
            side.prepare(part)
            begin, cpu_begin = time.perf_counter(), time.process_time()
            reads = side.run(part)
            measured[side.name].seconds.append(time.perf_counter() - begin)
            measured[side.name].cpu_seconds.append(time.process_time() - cpu_begin)
            measured[side.name].reads += reads
        taken = ", ".join(f"{side.name} {measured[side.name].seconds[-1]:.1f} s" for side in sides)
        print(f"{title}, part {number} of {count}: {taken}", flush=True)
    order = [message for part in parts for message in part]
    for found in measured.values():
        found.reads = _in_order(found.reads, order, messages)
    return measured


def _in_order(reads: list[Read], order: Sequence[Message], messages: Sequence[Message]) -> list[Read]:
    by_message = {id(message): read for message, read in zip(order, reads, strict=False)}
    return [by_message[id(message)] for message in messages if id(message) in by_message]


def _report(
    sides: Sequence[Side], measured: dict[str, Measured], pairs: Sequence[tuple[str, str, float]], count: int
) -> dict[str, Any]:
    report: dict[str, Any] = {"sides": {}, "ratios": []}
    for side in sides:
        rate = count / sum(measured[side.name].seconds)
        report["sides"][side.name] = {"messages_per_s": round(rate, 2), **_work(side)}
        print(f"  {side.name:42s} {rate:7.2f} messages/s  {_work(side)}")
    for mine, other, least in pairs:
        ratios = [b / a for a, b in zip(measured[mine].seconds, measured[other].seconds, strict=True)]
        ratio = round(statistics.median(ratios), 2)
        cpu = round(sum(measured[other].cpu_seconds) / sum(measured[mine].cpu_seconds), 2)
        report["ratios"].append({"of": mine, "to": other, "ratio": ratio, "cpu_ratio": cpu, "least": least})
        print(
            f"  {mine} / {other}: {ratio} (at least {least}), by CPU time {cpu}; parts {[round(r, 2) for r in ratios]}"
        )
    return report


def _work(side: Side) -> dict[str, float]:
    return {key: round(value, 1) for key, value in asdict(side.work).items() if value}


RUNS = {"base": _base, "micro": _micro, "silence": _silence, "live": _live, "memory": _memory}


if __name__ == "__main__":
    main()
