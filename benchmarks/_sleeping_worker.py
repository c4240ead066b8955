"""`earshot worker` with an engine that sleeps for each message, so that not this machine's processor is measured."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence

from pipeline import cli, context
from transcribe import Clip, Segment, Transcript
from transcribe.protocol import Outcome, nothing

SLEEP = "BENCHMARK_SLEEP_S"


class Sleeper:
    """Says something else every time: what is done twice leaves two objects."""

    model = "sleeper"
    version = "1"

    def __init__(self) -> None:
        self._sleep_s = float(os.environ[SLEEP])

    def transcribe(self, clips: Sequence[Clip], between: Callable[[], None] = nothing) -> list[Outcome]:
        time.sleep(self._sleep_s * len(clips))
        return [_said(secrets.token_hex(8)) for _ in clips]

    def close(self) -> None:
        pass


def _said(words: str) -> Transcript:
    return Transcript("completed", "en", 0.9, words, (Segment(0, 1000, words),), Sleeper.model, -0.1)


if __name__ == "__main__":
    context.load_engine = lambda settings: Sleeper()
    sys.argv = ["earshot", "worker", *sys.argv[1:]]
    cli.main()
