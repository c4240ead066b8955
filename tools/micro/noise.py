"""Sounds without speech, made from a seed: silence, noise, hum, clicks and music-like tones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

RATE: Final = 16_000
LEVEL: Final = 10 ** (-23 / 20)

Samples = np.ndarray
Random = np.random.Generator


def draw_noise(rng: Random, seconds: float) -> Samples:
    """Float32 noise of any kind at LEVEL (root mean square)."""
    sound = KINDS[int(rng.integers(len(KINDS)))](rng, int(seconds * RATE))
    return (sound * (LEVEL / max(1e-6, float(np.sqrt(np.mean(sound**2)))))).astype(np.float32)


def draw_quiet(rng: Random, seconds: float) -> Samples:
    """A recording in which nobody speaks, as loud as such recordings are; one in six is digital silence."""
    if rng.random() < 1 / 6:
        return np.zeros(int(seconds * RATE), np.float32)
    gain = 10 ** (rng.uniform(-45, 5) / 20)
    return np.clip(draw_noise(rng, seconds) * gain, -1, 1).astype(np.float32)


def coloured(rng: Random, count: int) -> Samples:
    """White to brown noise."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    return np.fft.irfft(spectrum / (1 + np.arange(len(spectrum))) ** rng.uniform(0, 1.1), count)


def breathing(rng: Random, count: int) -> Samples:
    """Noise that swells, as wind and traffic do."""
    return coloured(rng, count) * (1.05 + np.sin(2 * np.pi * rng.uniform(0.1, 3) * seconds(count)))


def band(rng: Random, count: int) -> Samples:
    """Noise in one band, as of a fan or a hiss."""
    low = rng.uniform(50, 4000)
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    inside = (frequency > low) & (frequency < low * rng.uniform(1.2, 4))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * inside, count) + 1e-4 * coloured(rng, count)


def hum(rng: Random, count: int) -> Samples:
    """Mains hum and what it is heard over."""
    base = rng.choice([50.0, 60.0, 100.0, 120.0])
    partials = [np.sin(2 * np.pi * base * k * seconds(count)) * rng.uniform(0, 1) / k for k in range(1, 9)]
    return np.sum(partials, 0) + 0.05 * coloured(rng, count)


def clicks(rng: Random, count: int) -> Samples:
    """Keys, taps and knocks over a faint hiss."""
    sound = 0.01 * rng.standard_normal(count)
    for _ in range(int(rng.integers(1, 3 + 8 * count // RATE))):
        length = int(rng.uniform(0.001, 0.06) * RATE)
        at = int(rng.integers(0, max(1, count - length)))
        decay = np.exp(-np.arange(length) / (length * rng.uniform(0.1, 0.4)))
        sound[at : at + length] += (decay * rng.standard_normal(length) * rng.uniform(0.3, 1))[: count - at]
    return sound


def tones(rng: Random, count: int) -> Samples:
    """Chords that follow one another, with overtones and decay."""
    sound = np.zeros(count)
    step = int(rng.uniform(0.12, 1.0) * RATE)
    sustain = rng.uniform(0.2, 3)
    for start in range(0, count, step):
        time = seconds(min(step, count - start))
        for _ in range(int(rng.integers(1, 5))):
            pitch = 110 * 2 ** (rng.integers(0, 40) / 12)
            wave = sum(np.sin(2 * np.pi * pitch * k * time) / k ** rng.uniform(1, 3) for k in range(1, 5))
            sound[start : start + len(time)] += wave * np.exp(-time * sustain)
    return sound + 1e-3 * rng.standard_normal(count)


def beep(rng: Random, count: int) -> Samples:
    """A steady or interrupted tone, as telephones make."""
    wave = np.sin(2 * np.pi * rng.uniform(200, 2500) * seconds(count))
    if rng.random() < 0.6:
        wave *= (seconds(count) * rng.uniform(0.5, 5)) % 1 < rng.uniform(0.2, 0.8)
    return wave + 1e-3 * rng.standard_normal(count)


def seconds(count: int) -> Samples:
    return np.arange(count) / RATE


KINDS: Final[list[Callable[[Random, int], Samples]]] = [
    coloured, coloured, breathing, band, hum, clicks, tones, tones, beep,
]  # fmt: skip
