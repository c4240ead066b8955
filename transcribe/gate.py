"""Where in a recording somebody speaks. What this room transcribes is only what this module lets through."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from transcribe.clip import SAMPLE_RATE, Samples

# Quieter than the noise of any microphone that recorded a voice: the loudest 30 ms of the recording, of full scale.
SILENCE_RMS = 10 ** (-66 / 20)
FRAME = 480
SHORTEST_SPEECH_MS = 120
PAUSE_MS = 300
# Quiet first and last sounds of a word lie outside of what the detector finds.
PAD = SAMPLE_RATE // 4
# Whisper fills long gaps with invented text, and they cost as much as speech.
LONGEST_PAUSE_S = 3.0


@dataclass(frozen=True)
class Span:
    """Samples [start, end)."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Window(Span):
    """What is transcribed in one go, a little more than the `voiced` stretches in it, which lie `PAUSE_MS` apart."""

    voiced: tuple[Span, ...]


def speech_windows(samples: Samples, longest_s: float) -> list[Window]:
    """Windows of speech, none longer than `longest_s`, cut in the pauses. Empty: there is no speech at all."""
    if loudest_rms(samples) < SILENCE_RMS:
        return []
    longest = int(longest_s * SAMPLE_RATE) - 2 * PAD
    parts = [part for group in _groups(_voiced(samples)) for part in _cut(group, samples, longest)]
    return _padded(parts, len(samples)) if parts else []


def loudest_rms(samples: Samples) -> float:
    """Of any 30 ms frame, 1.0 being full scale."""
    return float(np.sqrt(_powers(samples).max()))


def _powers(samples: Samples) -> Samples:
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    powers: Samples = np.square(padded.reshape(-1, FRAME)).mean(axis=1)
    return powers


def _voiced(samples: Samples) -> list[Span]:
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_speech_duration_ms=SHORTEST_SPEECH_MS, min_silence_duration_ms=PAUSE_MS, speech_pad_ms=0)
    return [Span(found["start"], found["end"]) for found in get_speech_timestamps(samples, options)]


def _groups(spans: list[Span]) -> list[list[Span]]:
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span.start - groups[-1][-1].end < LONGEST_PAUSE_S * SAMPLE_RATE:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _cut(spans: list[Span], samples: Samples, longest: int) -> list[list[Span]]:
    """Halve in the widest pause near the middle until every part fits: even windows are the cheapest."""
    length = spans[-1].end - spans[0].start
    if length <= longest:
        return [spans]
    if len(spans) == 1:
        return [part for half in _halves(spans[0], samples) for part in _cut([half], samples, longest)]
    middle = spans[0].start + length / 2

    def merit(index: int) -> float:
        before, after = spans[index - 1], spans[index]
        off_centre = abs((before.end + after.start) / 2 - middle) / length
        return (after.start - before.end) * (0.6 - off_centre)

    best = max(range(1, len(spans)), key=merit)
    return [*_cut(spans[:best], samples, longest), *_cut(spans[best:], samples, longest)]


def _halves(span: Span, samples: Samples) -> tuple[Span, Span]:
    """Nobody paused: cut at the quietest moment of the middle fifth."""
    low, high = span.start + span.length * 2 // 5, span.start + span.length * 3 // 5
    cut = low + int(_powers(samples[low:high]).argmin()) * FRAME + FRAME // 2
    return Span(span.start, cut), Span(cut, span.end)


def _padded(parts: list[list[Span]], length: int) -> list[Window]:
    """Into the pause on either side, at most to its middle."""
    edges = [0, *(round((a[-1].end + b[0].start) / 2) for a, b in pairwise(parts)), length]
    return [
        Window(max(part[0].start - PAD, before), min(part[-1].end + PAD, after), tuple(part))
        for part, (before, after) in zip(parts, pairwise(edges), strict=True)
    ]
