"""Where in a recording somebody speaks. What this room transcribes is only what this module lets through."""

from dataclasses import dataclass

import numpy as np

from transcribe.clip import SAMPLE_RATE, Samples

# Quieter than the noise of any microphone that recorded a voice: the loudest 30 ms of the recording, of full scale.
SILENCE_RMS = 10 ** (-66 / 20)
FRAME = 480
SHORTEST_SPEECH_MS = 120
PAUSE_MS = 300
PAD_MS = 250
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
    """What is transcribed in one go; `voiced` are the stretches of speech in it, `PAUSE_MS` or more apart."""

    voiced: tuple[Span, ...]


def speech_windows(samples: Samples, longest_s: float) -> list[Window]:
    """Windows of speech, none longer than `longest_s`, cut in the pauses. Empty: there is no speech at all."""
    if loudest_rms(samples) < SILENCE_RMS:
        return []
    groups = _groups(_voiced(samples))
    parts = [part for group in groups for part in _cut(group, samples, int(longest_s * SAMPLE_RATE))]
    return [Window(part[0].start, part[-1].end, tuple(part)) for part in parts]


def loudest_rms(samples: Samples) -> float:
    """Of any 30 ms frame, 1.0 being full scale."""
    return float(np.sqrt(_powers(samples).max()))


def _powers(samples: Samples) -> Samples:
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    powers: Samples = np.square(padded.reshape(-1, FRAME)).mean(axis=1)
    return powers


def _voiced(samples: Samples) -> list[Span]:
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        min_speech_duration_ms=SHORTEST_SPEECH_MS, min_silence_duration_ms=PAUSE_MS, speech_pad_ms=PAD_MS
    )
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
        return (after.start - before.end + 2 * PAD_MS * SAMPLE_RATE / 1000) * (0.6 - off_centre)

    best = max(range(1, len(spans)), key=merit)
    return [*_cut(spans[:best], samples, longest), *_cut(spans[best:], samples, longest)]


def _halves(span: Span, samples: Samples) -> tuple[Span, Span]:
    """Nobody paused: cut at the quietest moment of the middle fifth."""
    low, high = span.start + span.length * 2 // 5, span.start + span.length * 3 // 5
    cut = low + int(_powers(samples[low:high]).argmin()) * FRAME + FRAME // 2
    return Span(span.start, cut), Span(cut, span.end)
