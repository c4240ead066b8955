"""Many recordings at once: gate, cut into rows, group by length, read group after group, put together again."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any, TypeVar

from transcribe.assembly import Results, assemble, collect, take_back_doubtful
from transcribe.clip import SAMPLE_RATE, Clip, validate
from transcribe.decoding import FRAMES_PER_SECOND
from transcribe.devices import Device
from transcribe.errors import TranscribeError
from transcribe.gate import Window, speech_windows
from transcribe.language import canonical_language
from transcribe.mel import log_mel
from transcribe.protocol import Outcome, nothing
from transcribe.reader import Reader, Turn
from transcribe.rows import Context, Row, RowResult, group_rows

T = TypeVar("T")
TURN_S = 0.1
# Longer than any live message takes; without an end, two callers that wait for a thread could block each other.
LONGEST_WAIT_S = 3.0


@dataclass
class FittedEngine:
    """Batches short recordings with no more encoder context than each length needs."""

    model: str
    version: str
    reader: Reader
    context: Context
    device: Device
    usual_language: str | None
    hotwords: str

    def __post_init__(self) -> None:
        # Twice as many: a call made from `between` finds threads, and the model a worker of its own for it.
        self._pool = ThreadPoolExecutor(2 * max(self.device.workers, self.device.hands), thread_name_prefix="speech")

    def transcribe(self, clips: Sequence[Clip], between: Callable[[], None] = nothing) -> list[Outcome]:
        prepared = self._prepared(clips, between)
        rows = _rows(prepared)
        results: Results = {}
        while rows:
            rows = self._read(rows, results, between) or take_back_doubtful(results)
        return [
            found if isinstance(found, TranscribeError) else self._assembled(index, results)
            for index, found in enumerate(prepared)
        ]

    def rows(self, clips: Sequence[Clip]) -> list[Row]:
        """What would go through the model: every window of speech of every sound clip."""
        return _rows(self._prepared(clips))

    def close(self) -> None:
        self._pool.shutdown()

    def _prepared(
        self, clips: Sequence[Clip], between: Callable[[], None] = nothing
    ) -> list[list[Row] | TranscribeError]:
        tasks = [partial(self._prepare, index, clip) for index, clip in enumerate(clips)]
        found = dict(self._side_by_side(tasks, self.device.hands, between))
        return [found[index] for index in range(len(clips))]

    def _prepare(self, index: int, clip: Clip, turn: Turn) -> tuple[int, list[Row] | TranscribeError]:
        try:
            return index, self._rows_of(index, clip, turn)
        except TranscribeError as error:
            return index, error

    def _rows_of(self, index: int, clip: Clip, turn: Turn) -> list[Row]:
        validate(clip)
        language = clip.language and canonical_language(clip.language, self.reader.whisper.supported_languages)
        windows = speech_windows(clip.samples, self.context.longest_window_s)
        if not windows:
            return []
        turn()
        mel = log_mel(clip.samples, self.reader.whisper.feature_extractor.mel_filters)
        prior = clip.prior or ({self.usual_language: 1.0} if self.usual_language else {})
        prompt = self.reader.prompt_tokens(", ".join(filter(None, [self.hotwords, clip.prompt])))
        return [self._row(index, mel, window, language, prior, prompt) for window in windows]

    def _row(
        self, index: int, mel: Any, window: Window, language: str | None, prior: Any, prompt: tuple[int, ...]
    ) -> Row:
        first, last = (edge * FRAMES_PER_SECOND // SAMPLE_RATE for edge in (window.start, window.end))
        part = mel[:, first : max(last, first + 1)]
        voiced = tuple((span.start / SAMPLE_RATE, span.end / SAMPLE_RATE) for span in window.voiced)
        frames = self.context.frames(part.shape[1], mel.shape[0])
        start_s, end_s = window.start / SAMPLE_RATE, window.end / SAMPLE_RATE
        return Row(index, part, start_s, end_s, voiced, language, prior, prompt, frames)

    def _read(self, rows: list[Row], results: Results, between: Callable[[], None]) -> list[Row]:
        """Reads the rows into `results`; returns what their texts left unread."""
        # Long groups go first: the workers then finish at about the same time.
        groups = group_rows(rows, self.device.rows, self.device.seconds, mixed=self.device.mixed)
        tasks = [partial(self.read_group, group) for group in groups]
        rests: list[Row] = []
        for found in self._side_by_side(tasks, self.device.workers, between):
            for clip, result in found:
                collect(results, clip, result)
                if isinstance(result, RowResult) and result.rest:
                    rests.append(self._fitted(result.rest))
        return rests

    def _side_by_side(
        self, tasks: Sequence[Callable[[Turn], T]], most: int, between: Callable[[], None]
    ) -> Iterator[T]:
        """At most so many at a time, the last ones first; yields what they return as it comes."""
        waiting = list(tasks)
        running: set[Future[T]] = set()
        go = Event()
        go.set()
        due = time.monotonic()
        while waiting or running:
            while waiting and len(running) < most:
                running.add(self._pool.submit(waiting.pop(), partial(go.wait, LONGEST_WAIT_S)))
            done, running = wait(running, max(0.0, due - time.monotonic()), FIRST_COMPLETED)
            yield from (future.result() for future in done)
            if time.monotonic() >= due:
                _let_pass(between, go)
                due = time.monotonic() + TURN_S

    def _fitted(self, row: Row) -> Row:
        return replace(row, frames=self.context.frames(row.speech_frames, row.mel.shape[0]))

    def read_group(self, rows: list[Row], turn: Turn = nothing) -> list[tuple[int, RowResult | TranscribeError]]:
        try:
            return [(result.clip, result) for result in self.reader.read(rows, turn)]
        except (RuntimeError, ValueError) as error:
            if len(rows) == 1:
                return [
                    (rows[0].clip, TranscribeError("engine_failed", f"the model failed on this recording: {error}"))
                ]
            return [found for row in rows for found in self.read_group([row], turn)]

    def _assembled(self, index: int, results: Results) -> Outcome:
        found = results.get(index, [])
        if isinstance(found, TranscribeError):
            return found
        spoken = sorted((result for result in found if result.text), key=lambda result: result.start_s)
        return assemble(spoken, self.model)


def _rows(prepared: Sequence[list[Row] | TranscribeError]) -> list[Row]:
    return [row for found in prepared if isinstance(found, list) for row in found]


def _let_pass(between: Callable[[], None], go: Event) -> None:
    """What `between` asks for goes first: all tasks stop at their next step, and go on behind it."""
    go.clear()
    try:
        between()
    finally:
        go.set()
