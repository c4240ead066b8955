"""The two sides of each speech comparison: what they are given, and what they were asked to compute."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.load import Message
from transcribe import Clip, TranscribeSettings, Transcript
from transcribe.decoding import FRAMES_PER_SECOND, Policy
from transcribe.devices import available_cores
from transcribe.engine import FittedEngine
from transcribe.loading import CAREFUL_CONTEXT, load
from transcribe.reader import Work
from transcribe.rows import Row, group_rows, stacked

TOKENS_PER_SECOND = 3
END_OF_TEXT, START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS = 50257, 50258, 50259, 50359, 50363
# Equal work on random weights: no check, no retry, no end of text before three tokens per second of context.
EQUAL_WORK = Policy(
    lowest_logprob=None,
    highest_compression=None,
    no_speech=None,
    temperatures=(),
    read_on=False,
    tokens_per_second=TOKENS_PER_SECOND,
    spare_tokens=-math.floor(TOKENS_PER_SECOND * (CAREFUL_CONTEXT.tail_s + CAREFUL_CONTEXT.step_s / 2)),
    letters_per_second=None,
    suppress_end=True,
)


@dataclass(frozen=True)
class Read:
    """One message as a side read it: text, language, word starts in seconds."""

    text: str
    language: str | None
    words: tuple[tuple[str, float], ...] = ()


@dataclass
class Side:
    """`run` reads messages; `work` counts what the model was asked to do."""

    name: str
    run: Callable[[Sequence[Message]], list[Read]]
    work: Work = field(default_factory=Work)

    def prepare(self, messages: Sequence[Message]) -> None:
        """What does not belong to the measured work."""


def ours(name: str, engine: FittedEngine, *, language_given: bool = False) -> Side:
    def run(messages: Sequence[Message]) -> list[Read]:
        engine.reader.work = side.work
        clips = [Clip(message.samples, message.language if language_given else None) for message in messages]
        return [_read(outcome) for outcome in engine.transcribe(clips)]

    side = Side(name, run)
    return side


def engine_for(
    model: str, *, words: bool = True, policy: Policy | None = None, context: Any = "fitted", device: Any = "cpu"
) -> FittedEngine:
    return load(TranscribeSettings(model=model, device=device, word_timestamps=words, speech_context=context), policy)


def plain_faster_whisper(name: str, whisper: WhisperModel, **options: Any) -> Side:
    """`WhisperModel.transcribe`, one message after the other."""

    def run(messages: Sequence[Message]) -> list[Read]:
        _count(whisper, side.work)
        return [_faster(*whisper.transcribe(message.samples, **options)) for message in messages]

    side = Side(name, run)
    return side


def equal_faster_whisper(
    name: str, whisper: Any, beam_size: int, *, language_given: bool = False, batched: bool = False
) -> Side:
    """The same with every check off and three tokens per second of audio, however many windows it takes."""
    reader: Any = BatchedInferencePipeline(whisper) if batched else whisper

    def run(messages: Sequence[Message]) -> list[Read]:
        _count(whisper, side.work)
        return [_faster(*reader.transcribe(message.samples, **options(message))) for message in messages]

    def options(message: Message) -> dict[str, Any]:
        windows = math.ceil(message.seconds / 30)
        return {
            "beam_size": beam_size,
            "language": message.language if language_given else None,
            "temperature": [0.0],
            "log_prob_threshold": None,
            "compression_ratio_threshold": None,
            "no_speech_threshold": None,
            "condition_on_previous_text": False,
            "without_timestamps": True,
            "suppress_tokens": [-1, END_OF_TEXT],
            # CTranslate2 halves prompt and new tokens together; a prompt has four tokens here.
            "max_new_tokens": max(1, 2 * round(TOKENS_PER_SECOND * message.seconds / windows) - 4),
        }

    side = Side(name, run)
    return side


class BareCTranslate2:
    """Encode and generate only, on the very rows and groups of the engine, cut and computed beforehand."""

    def __init__(self, name: str, engine: FittedEngine) -> None:
        self.name, self.work = name, Work()
        self._engine = engine
        self._groups: list[list[Row]] = []

    def prepare(self, messages: Sequence[Message]) -> None:
        rows = self._engine.rows([Clip(message.samples, message.language) for message in messages])
        device = self._engine.device
        self._groups = group_rows(rows, device.rows, device.seconds, mixed=device.mixed)

    def run(self, _: Sequence[Message]) -> list[Read]:
        with ThreadPoolExecutor(self._engine.device.workers) as pool:
            list(pool.map(self._one, reversed(self._groups)))
        return []

    def _one(self, rows: list[Row]) -> None:
        model, frames, cap = self._engine.reader.model, rows[0].frames, EQUAL_WORK.cap(rows[0].frames)
        encoded = [np.array(model.encode(_view(stacked([row], frames)), to_cpu=True))[0] for row in rows]
        prompts = [[START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS]] * len(rows)
        model.generate(
            _view(np.stack(encoded)), prompts, beam_size=1, max_length=2 * cap, suppress_tokens=[END_OF_TEXT]
        )
        self.work.encodes += len(rows)
        self.work.encoded_s += len(rows) * frames / FRAMES_PER_SECOND
        self.work.decodes += 1
        self.work.tokens += len(rows) * cap


class CountingModel:
    """Stands before faster-whisper's CTranslate2 model and counts the calls."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.work = Work()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, **options: Any) -> Any:
        rows, _, frames = features.shape
        self.work.encodes += 1
        self.work.encoded_s += rows * frames / FRAMES_PER_SECOND
        return self._model.encode(features, **options)

    def generate(self, *arguments: Any, **options: Any) -> Any:
        results = self._model.generate(*arguments, **options)
        self.work.decodes += 1
        self.work.tokens += sum(len(result.sequences_ids[0]) for result in results)
        return results

    def align(self, *arguments: Any, **options: Any) -> Any:
        self.work.aligns += 1
        return self._model.align(*arguments, **options)


def faster_whisper(model: str, device: str = "cpu") -> WhisperModel:
    """int8 on all cores, or float16 on a GPU, with calls counted."""
    compute_type = "int8" if device == "cpu" else "float16"
    whisper = WhisperModel(model, device=device, compute_type=compute_type, cpu_threads=available_cores())
    whisper.model = CountingModel(whisper.model)
    return whisper


def _view(array: Any) -> Any:
    return ctranslate2.StorageView.from_array(array)


def _count(whisper: Any, work: Work) -> None:
    whisper.model.work = work


def _faster(segments: Any, information: Any) -> Read:
    found = list(segments)
    words = tuple((word.word.strip(), word.start) for segment in found for word in segment.words or ())
    return Read("".join(segment.text for segment in found), information.language, words)


def _read(outcome: Any) -> Read:
    if not isinstance(outcome, Transcript):
        raise outcome
    words = tuple((word.text, word.start_ms / 1000) for segment in outcome.segments for word in segment.words)
    return Read(outcome.text, outcome.language, words)
