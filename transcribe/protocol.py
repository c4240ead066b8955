from collections.abc import Callable, Sequence
from typing import Protocol

from transcribe.clip import Clip
from transcribe.errors import TranscribeError
from transcribe.transcript import Transcript

Outcome = Transcript | TranscribeError


def nothing() -> None:
    pass


class Engine(Protocol):
    """What a speech worker needs.

    `transcribe` answers in the order of `clips`, one Transcript or TranscribeError each, and never raises for a
    clip's fault. `between` is called from the caller's thread a few times a second while the work goes on, and may
    itself call the engine: the work in hand then waits, and so a live message overtakes a batch. What it raises ends
    the call.
    """

    model: str
    # Which weights of that name.
    version: str

    def transcribe(self, clips: Sequence[Clip], between: Callable[[], None] = nothing) -> list[Outcome]: ...

    def close(self) -> None: ...
