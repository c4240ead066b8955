"""Which audio context suits a model: measured on the operator's own recordings."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcribe.clip import LONGEST_S, SAMPLE_RATE, Clip
from transcribe.errors import ModelError
from transcribe.loading import CAREFUL_CONTEXT, choose_context, load
from transcribe.models import resolve_model
from transcribe.settings import TranscribeSettings
from transcribe.transcript import Transcript

CHOICES: dict[str, dict[str, Any]] = {
    "fitted": {"speech_context": "fitted", "speech_floor_s": 0.0},
    "floor": {"speech_context": "fitted", "speech_floor_s": CAREFUL_CONTEXT.floor_s},
    "full": {"speech_context": "full"},
}
AUDIO = {".flac", ".wav", ".mp3", ".m4a", ".mp4", ".ogg", ".oga", ".opus", ".webm", ".aac", ".amr", ".3gp"}
# Fewer wrong words than this make no difference that a few hundred recordings could show.
TOLERATED = 0.005


@dataclass(frozen=True)
class Recording:
    """`reference` is what is said, from a .txt file of the same name; None without one."""

    name: str
    clip: Clip
    reference: str | None


@dataclass(frozen=True)
class ContextCheck:
    """How one context did. Rates are word error rates: 0.1 is one word in ten."""

    name: str
    settings: str
    messages_per_s: float
    retried: int
    differs_from_full: float
    wer: float | None

    @property
    def error(self) -> float:
        return self.differs_from_full if self.wer is None else self.wer


@dataclass(frozen=True)
class ModelCheck:
    """The answer of `check_model`; `str()` is the table with its advice."""

    model: str
    recordings: int
    skipped: tuple[str, ...]
    contexts: tuple[ContextCheck, ...]
    advice: ContextCheck

    def __str__(self) -> str:
        head = f"{'context':10s} {'messages/s':>10s} {'retried':>8s} {'unlike full':>12s} {'WER':>7s}"
        lines = [f"{self.model}: {self.recordings} recordings", head]
        for context in self.contexts:
            wer = "-" if context.wer is None else f"{context.wer:.1%}"
            lines.append(
                f"{context.name:10s} {context.messages_per_s:10.2f} {context.retried:8d} "
                f"{context.differs_from_full:12.1%} {wer:>7s}"
            )
        lines += [f"skipped: {reason}" for reason in self.skipped]
        lines.append(f"choose: {self.advice.settings}")
        return "\n".join(lines)


def check_model(name: str, folder: Path, settings: TranscribeSettings | None = None) -> ModelCheck:
    """Read every recording in `folder` with each context. Raises ModelError when there is nothing to read with or from.

    A file NAME.txt beside NAME.<audio> is what is really said; with such files the contexts are judged by their word
    error rate, without by how far they are from the full 30 s context that the model was trained on.
    """
    settings = (settings or TranscribeSettings()).model_copy(update={"model": name})
    recordings, skipped = _recordings(folder)
    resolved, engine = resolve_model(name), load(settings)
    texts: dict[str, list[str]] = {}
    measured: dict[str, tuple[float, int]] = {}
    for label, choice in CHOICES.items():
        engine.context = choose_context(settings.model_copy(update=choice), resolved)
        engine.reader.work.retried_rows = 0
        begin = time.perf_counter()
        outcomes = engine.transcribe([recording.clip for recording in recordings])
        measured[label] = len(recordings) / (time.perf_counter() - begin), engine.reader.work.retried_rows
        texts[label] = [outcome.text if isinstance(outcome, Transcript) else "" for outcome in outcomes]
    engine.close()
    checks = tuple(_judged(label, *measured[label], texts, recordings) for label in measured)
    return ModelCheck(engine.model, len(recordings), skipped, checks, _advice(checks))


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Wrong, missing and added words for each word of the references; case and punctuation do not count."""
    pairs = [(_words(r), _words(h)) for r, h in zip(references, hypotheses, strict=True)]
    return sum(_distance(r, h) for r, h in pairs) / max(1, sum(len(r) for r, _ in pairs))


def _recordings(folder: Path) -> tuple[list[Recording], tuple[str, ...]]:
    found: list[Recording] = []
    skipped: list[str] = []
    for path in _audio_files(folder):
        try:
            found.append(_recording(path))
        except (ValueError, OSError, IndexError) as error:
            skipped.append(f"{path.name}: {error}")
    if not found:
        raise ModelError(
            "no_recordings", f"{folder} holds no readable recording of at most 60 s ({len(skipped)} skipped)"
        )
    return found, tuple(skipped)


def _audio_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ModelError("no_recordings", f"{folder} is not a folder: give one with recordings in it")
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO)


def _recording(path: Path) -> Recording:
    from faster_whisper import decode_audio

    samples = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
    if not 0 < len(samples) <= LONGEST_S * SAMPLE_RATE:
        raise ValueError(f"{len(samples) / SAMPLE_RATE:.1f} s long")
    text = path.with_suffix(".txt")
    return Recording(path.name, Clip(samples), text.read_text("utf-8") if text.is_file() else None)


def _judged(
    label: str, speed: float, retried: int, texts: dict[str, list[str]], recordings: Sequence[Recording]
) -> ContextCheck:
    known = [(r.reference, text) for r, text in zip(recordings, texts[label], strict=True) if r.reference]
    wer = word_error_rate(*zip(*known, strict=True)) if known else None
    settings = " ".join(f"EARSHOT_{key.upper()}={value}" for key, value in CHOICES[label].items())
    return ContextCheck(label, settings, speed, retried, word_error_rate(texts["full"], texts[label]), wer)


def _advice(checks: Sequence[ContextCheck]) -> ContextCheck:
    """The fastest of those that are as right as the full context."""
    full = checks[-1]
    good = [check for check in checks if check.error <= full.error + TOLERATED]
    return max(good, key=lambda check: check.messages_per_s)


def _words(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.casefold()).split()


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for index, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(hypothesis, 1):
            substituted = diagonal + (word != other)
            diagonal = row[column]
            row[column] = min(substituted, row[column] + 1, row[column - 1] + 1)
    return row[-1]
