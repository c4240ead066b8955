"""One row group through the model: encode once, detect languages, decode, retry what failed, align."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from transcribe.decoding import FRAMES_PER_SECOND, FULL_FRAMES, Policy, Reading, best_reading, generate
from transcribe.encoded import Encoded
from transcribe.language import Language, choose_language
from transcribe.protocol import nothing
from transcribe.rows import Row, RowResult, stacked
from transcribe.transcript import Segment
from transcribe.words import align_rows, milliseconds, placed, sentences

T = TypeVar("T")
Turn = Callable[[], object]


@dataclass
class Work:
    """What the model was asked to do, for comparisons."""

    encodes: int = 0
    encoded_s: float = 0.0
    decodes: int = 0
    tokens: int = 0
    retried_rows: int = 0
    aligns: int = 0


@dataclass
class Reader:
    """Reads row groups with one loaded model. Threads may share it: the model has its own workers."""

    whisper: WhisperModel
    policy: Policy
    languages: tuple[str, ...]
    word_timestamps: bool
    together: int
    prompt_budget: int
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        self.model: Any = self.whisper.model
        self._tokenizers = {code: self._tokenizer(code) for code in self.whisper.supported_languages}
        self.tokenizer = self._tokenizers.get("en") or next(iter(self._tokenizers.values()))
        special = [self.tokenizer.eot] if self.policy.suppress_end else []
        self._suppressed = [*get_suppressed_tokens(self.tokenizer, [-1]), *special]

    def prompt_tokens(self, text: str) -> tuple[int, ...]:
        """The start of `text`, as much as the model's prompt budget takes."""
        if not text.strip():
            return ()
        return (self.tokenizer.sot_prev, *self.text_tokens(text)[: self.prompt_budget])

    def text_tokens(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(" " + text.strip()))

    def read(self, rows: Sequence[Row], turn: Turn = nothing) -> list[RowResult]:
        """`rows` share the prompt length, and get the longest's context. `turn` is called before each step: it may wait
        for urgent work."""
        frames = max(row.frames for row in rows)
        encoded = self._encode(rows, frames, turn)
        turn()
        languages = self._languages(rows, encoded)
        readings = self._decode(rows, encoded, languages, frames, turn)
        failed = [slot for slot, reading in enumerate(readings) if self._needs_retry(rows[slot], reading)]
        timed = self._align(rows, encoded, languages, readings, turn, skip=failed)
        for slot in failed:
            readings[slot], timed[slot] = self._retry(rows[slot], languages[slot], readings[slot], turn)
        return [self._result(*found) for found in zip(rows, languages, readings, timed, strict=True)]

    def _encode(self, rows: Sequence[Row], frames: int, turn: Turn) -> Encoded:
        encoded = []
        for part in self._parts(rows):
            turn()
            encoded.append(self.model.encode(ctranslate2.StorageView.from_array(stacked(part, frames))))
            self.work.encodes += 1
            self.work.encoded_s += len(part) * frames / FRAMES_PER_SECOND
        return Encoded(encoded)

    def _languages(self, rows: Sequence[Row], encoded: Encoded) -> list[Language]:
        if all(row.language for row in rows):
            return [Language(row.language or "", None) for row in rows]
        if not self.model.is_multilingual:
            return [Language("en", None) for _ in rows]
        detected = self.model.detect_language(encoded.rows(range(len(rows))))
        return [self._language(row, found) for row, found in zip(rows, detected, strict=True)]

    def _language(self, row: Row, found: list[tuple[str, float]]) -> Language:
        if row.language:
            return Language(row.language, None)
        probabilities = {token[2:-2]: probability for token, probability in found}
        return choose_language(probabilities, allowed=self.languages, prior=row.prior, speech_s=row.end_s - row.start_s)

    def _decode(
        self,
        rows: Sequence[Row],
        encoded: Encoded,
        languages: Sequence[Language],
        frames: int,
        turn: Turn,
        temperature: float = 0.0,
    ) -> list[Reading]:
        prompts = [
            [*row.prompt, *self._tokenizers[language.code].sot_sequence, self.tokenizer.no_timestamps]
            for row, language in zip(rows, languages, strict=True)
        ]
        turn()
        readings = generate(
            self.model,
            encoded.rows(range(len(rows))),
            prompts,
            tokenizer=self.tokenizer,
            suppressed=self._suppressed,
            cap=self.policy.cap(frames),
            temperature=temperature,
        )
        self.work.decodes += 1
        self.work.tokens += sum(reading.generated for reading in readings)
        return readings

    def _needs_retry(self, row: Row, reading: Reading) -> bool:
        return reading.failed(self.policy) and not self._worthless(row, reading)

    def _worthless(self, row: Row, reading: Reading) -> bool:
        """Nobody spoke, or what a text left out holds no clear words: then the text was right to leave it out."""
        return reading.silent(self.policy) or (row.is_rest and reading.failed(self.policy))

    def _retry(self, row: Row, language: Language, first: Reading, turn: Turn) -> tuple[Reading, list[Any]]:
        """The row alone in the full 30 s that the model was trained on, then warmer; without its prompt."""
        bare = replace(row, prompt=(), frames=FULL_FRAMES)
        self.work.retried_rows += 1
        encoded = self._encode([bare], FULL_FRAMES, turn)
        cold = () if row.frames == FULL_FRAMES and not row.prompt else (0.0,)
        tried = [first]
        for temperature in (*cold, *self.policy.temperatures):
            tried += self._decode([bare], encoded, [language], FULL_FRAMES, turn, temperature)
            if not self._needs_retry(row, tried[-1]):
                break
        good = tried[-1] if not self._needs_retry(row, tried[-1]) else best_reading(tried, self.policy)
        return good, self._align([bare], encoded, [language], [good], turn)[0]

    def _align(
        self,
        rows: Sequence[Row],
        encoded: Encoded,
        languages: Sequence[Language],
        readings: Sequence[Reading],
        turn: Turn,
        skip: Sequence[int] = (),
    ) -> list[list[Any]]:
        """Words of each row; the model takes one language at a time."""
        timed: list[list[Any]] = [[] for _ in rows]
        by_language: dict[str, list[int]] = defaultdict(list)
        for slot, reading in enumerate(readings):
            if slot not in skip and self._wants_words(rows[slot], reading):
                by_language[languages[slot].code].append(slot)
        for code, alike in by_language.items():
            for slots in self._parts(alike):
                turn()
                words = align_rows(
                    self.model,
                    encoded.rows(slots),
                    self._tokenizers[code],
                    [readings[slot].tokens for slot in slots],
                    [rows[slot].speech_frames for slot in slots],
                )
                self.work.aligns += 1
                for slot, found in zip(slots, words, strict=True):
                    timed[slot] = found
        return timed

    def _parts(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """As many at a time as the device encodes or aligns best."""
        return (items[first : first + self.together] for first in range(0, len(items), self.together))

    def _wants_words(self, row: Row, reading: Reading) -> bool:
        """For their times, or to see where a text ends that is short for so much speech."""
        if not reading.tokens or self._empty(row, reading):
            return False
        sparse = len(reading.tokens) < self.policy.sparse_tokens_per_second * row.voiced_s
        return self.word_timestamps or (self.policy.read_on and sparse)

    def _empty(self, row: Row, reading: Reading) -> bool:
        # After every retry still no end of text: a loop, not words.
        endless = reading.capped and reading.looped(self.policy)
        return endless or reading.hurried(self.policy, row.voiced_s) or self._worthless(row, reading)

    def _result(self, row: Row, language: Language, reading: Reading, timed: list[Any]) -> RowResult:
        text = "" if self._empty(row, reading) else reading.text
        words = placed(timed, row.start_s, row.end_s, row.voiced) if text else []
        rest = row.rest(words[-1].end, language.code) if words and self.policy.read_on else None
        end_s = rest.start_s if rest else row.end_s
        segments: tuple[Segment, ...] = ()
        if words and self.word_timestamps:
            segments = tuple(sentences(words))
        elif text:
            segments = (Segment(milliseconds(row.start_s), milliseconds(end_s), text),)
        return RowResult(
            row,
            language.code,
            language.probability,
            text,
            segments,
            reading.avg_logprob,
            len(reading.tokens),
            end_s,
            rest,
        )

    def _tokenizer(self, code: str) -> Any:
        return Tokenizer(self.whisper.hf_tokenizer, self.model.is_multilingual, task="transcribe", language=code)
