"""Many recordings at once: gate, cut into rows, group by length, read group after group, put together again."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from transcribe.assembly import Results, assemble, collect, take_back_doubtful
from transcribe.clip import SAMPLE_RATE, Clip, validate
from transcribe.decoding import FRAMES_PER_SECOND
from transcribe.devices import Device
from transcribe.errors import TranscribeError
from transcribe.gate import Window, speech_windows
from transcribe.language import canonical_language
from transcribe.mel import log_mel
from transcribe.protocol import Outcome, nothing
from transcribe.reader import Reader
from transcribe.rows import Context, Row, RowResult, group_rows

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
        # Twice the workers: a call made from `between` finds a thread, and the model takes turns between the two.
        self._pool = ThreadPoolExecutor(2 * self.device.workers, thread_name_prefix="speech")

    def transcribe(self, clips: Sequence[Clip], between: Callable[[], None] = nothing) -> list[Outcome]:
        prepared = self._prepared(clips)
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

    def _prepared(self, clips: Sequence[Clip]) -> list[list[Row] | TranscribeError]:
        return list(self._pool.map(self._prepare, range(len(clips)), clips))

    def _prepare(self, index: int, clip: Clip) -> list[Row] | TranscribeError:
        try:
            validate(clip)
            language = clip.language and canonical_language(clip.language, self.reader.whisper.supported_languages)
        except TranscribeError as error:
            return error
        windows = speech_windows(clip.samples, self.context.longest_window_s)
        if not windows:
            return []
        mel = log_mel(clip.samples, self.reader.whisper.feature_extractor.mel_filters)
        prior = clip.prior or ({self.usual_language: 1.0} if self.usual_language else {})
        prompt = self.reader.prompt_tokens(", ".join(filter(None, [clip.prompt, self.hotwords])))
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
        waiting = group_rows(rows, self.device.rows, self.device.seconds)
        running: set[Future[list[tuple[int, RowResult | TranscribeError]]]] = set()
        rests: list[Row] = []
        go = Event()
        go.set()
        while waiting or running:
            while waiting and len(running) < self.device.workers:
                # Long groups first: the workers then finish at about the same time.
                running.add(self._pool.submit(self.read_group, waiting.pop(), partial(go.wait, LONGEST_WAIT_S)))
            done, running = wait(running, TURN_S, FIRST_COMPLETED)
            for clip, result in (found for future in done for found in future.result()):
                collect(results, clip, result)
                if isinstance(result, RowResult) and result.rest:
                    rests.append(self._fitted(result.rest))
            # What `between` asks for goes first: these groups stop at their next step, and resume behind it.
            go.clear()
            try:
                between()
            finally:
                go.set()
        return rests

    def _fitted(self, row: Row) -> Row:
        return replace(row, frames=self.context.frames(row.speech_frames, row.mel.shape[0]))

    def read_group(
        self, rows: list[Row], turn: Callable[[], object] = nothing
    ) -> list[tuple[int, RowResult | TranscribeError]]:
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
