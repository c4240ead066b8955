"""Peak memory of a fresh process that loads a model and reads messages."""

import multiprocessing
from collections.abc import Sequence
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.load import Message
from transcribe import Clip


def peak_memory(side: str, model: str, messages: Sequence[Message]) -> float:
    """Megabytes (10^6 bytes) resident at most, with live messages in between, and those of the messages (a few)."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(side, model, list(messages), sender))
    process.start()
    sender.close()
    try:
        return round(float(receiver.recv()), 1)
    finally:
        process.join()


def _run(side: str, model: str, messages: list[Message], sender: Connection) -> None:
    from benchmarks.speech_sides import EQUAL_WORK, engine_for, equal_faster_whisper, faster_whisper

    if side == "earshot":
        engine, clips = engine_for(model, policy=EQUAL_WORK), [Clip(message.samples) for message in messages]
        coming = iter(clips[:5])

        def live() -> None:
            engine.transcribe(list(islice(coming, 1)))

        engine.transcribe(clips, live)
    else:
        equal_faster_whisper(side, faster_whisper(model), 5).run(messages)
    sender.send(_highest_mb())


def _highest_mb() -> float:
    """This program's own; rusage would count what the parent held when it started us."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
