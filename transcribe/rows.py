"""Rows are windows of speech ready to encode; groups are rows that go through the model together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from transcribe.decoding import FRAMES_PER_SECOND, FULL_FRAMES
from transcribe.transcript import Segment

# Speech that a text leaves out: less than this may be the error of the alignment.
UNREAD_S = 2.0
SLACK_S = 0.5


@dataclass(frozen=True)
class Context:
    """How much encoder context a row gets: its length plus an empty tail, in steps, or always 30 s.

    There is no padding mask, so rows share a group only when they share the context.
    """

    tail_s: float
    floor_s: float
    step_s: float = 1.0
    longest_window_s: float = 15.0
    full: bool = False

    def frames(self, speech_frames: int, n_mels: int) -> int:
        """Mel frames to encode for so much speech."""
        if self.full:
            return FULL_FRAMES
        step = round(self.step_s * FRAMES_PER_SECOND)
        wanted = max(speech_frames + self.tail_s * FRAMES_PER_SECOND, self.floor_s * FRAMES_PER_SECOND)
        frames = min(FULL_FRAMES, math.ceil(wanted / step) * step)
        # CTranslate2 takes encoder output of n_mels positions (two frames each) for features and encodes it again.
        return frames + 2 if frames // 2 == n_mels else frames


@dataclass(frozen=True, eq=False)
class Row:
    """One window of one clip. `mel` is (n_mels, frames of speech); times are seconds in the recording.

    `voiced` are the stretches of speech in it, in order. A rest is what an earlier text of the window left out.
    """

    clip: int
    mel: Any
    start_s: float
    end_s: float
    voiced: tuple[tuple[float, float], ...]
    language: str | None
    prior: Mapping[str, float]
    prompt: tuple[int, ...]
    frames: int
    is_rest: bool = False

    @property
    def speech_frames(self) -> int:
        return int(self.mel.shape[1])

    @property
    def voiced_s(self) -> float:
        return sum(end - start for start, end in self.voiced)

    def rest(self, read_until_s: float, language: str) -> "Row | None":
        """What is left to read when the text ends there; None when nothing worth a word is, and of a rest."""
        if self.is_rest:
            return None
        left = tuple((max(start, read_until_s), end) for start, end in self.voiced if end - read_until_s > SLACK_S)
        if sum(end - start for start, end in left) < UNREAD_S:
            return None
        skipped = round((left[0][0] - self.start_s) * FRAMES_PER_SECOND)
        mel = self.mel[:, skipped:]
        return replace(self, mel=mel, start_s=left[0][0], voiced=left, language=language, is_rest=True)


@dataclass(frozen=True, eq=False)
class RowResult:
    """What one row said up to `end_s`; text and segments are empty when the model heard nobody."""

    row: Row
    language: str
    language_probability: float | None
    text: str
    segments: tuple[Segment, ...]
    avg_logprob: float
    tokens: int
    end_s: float
    rest: Row | None = None

    @property
    def clip(self) -> int:
        return self.row.clip

    @property
    def start_s(self) -> float:
        return self.row.start_s


def group_rows(rows: Sequence[Row], most: int, most_s: float, *, mixed: bool = False) -> list[list[Row]]:
    """Groups of one prompt length and, unless `mixed`, one context, the short ones first.

    None has more than `most` rows and `most_s` seconds of context, each row's being the longest of its group.
    """

    def kind(row: Row) -> tuple[int, int]:
        return len(row.prompt), 0 if mixed else row.frames

    groups: list[list[Row]] = []
    for _, same in groupby(sorted(rows, key=lambda row: (len(row.prompt), row.frames)), key=kind):
        alike = list(same)
        while alike:
            size = max(1, min(most, int(most_s * FRAMES_PER_SECOND / alike[-1].frames)))
            groups.append(alike[-size:])
            del alike[-size:]
    return sorted(groups, key=lambda group: (group[-1].frames, len(group[-1].prompt)))


def stacked(rows: Sequence[Row], frames: int) -> Any:
    """Float32 (rows, n_mels, frames); what is not speech is zero, as faster-whisper pads."""
    features = np.zeros((len(rows), rows[0].mel.shape[0], frames), np.float32)
    for slot, row in zip(features, rows, strict=True):
        slot[:, : row.speech_frames] = row.mel
    return features
