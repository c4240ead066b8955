"""What happens to a voice on its way into a phone, done to log mel spectra."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from tools.micro.features import BANDS, FLOOR, limit_and_scale, log_mel
from tools.micro.noise import draw_noise

NOISES: Final = 400
NOISE_SECONDS: Final = 6.0
NOISE_SEED: Final = 5
WARPS: Final = np.linspace(0.86, 1.16, 13)

Random = np.random.Generator


def distort(spectra: np.ndarray, rng: Random, strength: float) -> np.ndarray:
    """Another throat, room, microphone, noise, band and level, more often with more strength (0-1).

    Returns them limited and scaled as Whisper wants.
    """
    if rng.random() < 0.5 * strength:
        spectra = spectra @ throats()[int(rng.integers(len(WARPS)))]
    if rng.random() < 0.5 * strength:
        spectra = spectra + _tilt(rng)
    spectra = np.maximum(spectra + rng.uniform(-1.8, 0.6), FLOOR)
    if rng.random() < 0.55 * strength:
        spectra = _add_noise(spectra, rng)
    if rng.random() < 0.15 * strength:
        spectra = spectra.copy()
        spectra[:, int(rng.integers(46, BANDS)) :] = FLOOR + rng.uniform(0, 3)
    if rng.random() < 0.3 * strength:
        spectra = _hide_band(spectra, rng)
    return limit_and_scale(spectra)


def quiet(frames: int, rng: Random) -> np.ndarray:
    """A recording in which nobody speaks, limited and scaled."""
    if rng.random() < 0.15:
        return limit_and_scale(np.full((frames, BANDS), FLOOR, np.float32))
    return limit_and_scale(np.maximum(_noise(frames, rng) + rng.uniform(-4.5, 0.5), FLOOR))


def _tilt(rng: Random) -> np.ndarray:
    bands = np.linspace(0, np.pi, BANDS, dtype=np.float32)
    return rng.uniform(-0.4, 0.4) * np.cos(bands) + rng.uniform(-0.25, 0.25) * np.cos(2 * bands + rng.uniform(0, 6))


def _add_noise(spectra: np.ndarray, rng: Random) -> np.ndarray:
    loudness = float(spectra.max()) - rng.uniform(0.9, 1.5)
    decibels = rng.uniform(5, 40)
    noise = _noise(len(spectra), rng)
    noise = noise + (loudness - float(np.log10(np.mean(10.0**noise)))) - decibels / 10
    return np.log10(10.0**spectra + 10.0**noise).astype(np.float32)


def _hide_band(spectra: np.ndarray, rng: Random) -> np.ndarray:
    spectra = spectra.copy()
    first = int(rng.integers(0, BANDS - 8))
    spectra[:, first : first + int(rng.integers(1, 9))] = spectra.mean()
    return spectra


def _noise(frames: int, rng: Random) -> np.ndarray:
    stored = noises()[int(rng.integers(NOISES))]
    start = int(rng.integers(len(stored)))
    return stored[(start + np.arange(frames)) % len(stored)]


@cache
def noises() -> list[np.ndarray]:
    """Spectra of the noises that training adds."""
    rng = np.random.default_rng(NOISE_SEED)
    return [log_mel(draw_noise(rng, NOISE_SECONDS)) for _ in range(NOISES)]


@cache
def throats() -> list[np.ndarray]:
    """For each of WARPS a matrix [BANDS, BANDS] that stretches the frequency axis, as a longer vocal tract does."""
    top = hertz_to_mel(8000.0)
    centres = mel_to_hertz(np.linspace(0, top, BANDS + 2)[1:-1])
    matrices = []
    for warp in WARPS:
        source = np.clip(hertz_to_mel(centres * warp) / top * (BANDS + 1) - 1, 0, BANDS - 1)
        low = np.minimum(source.astype(int), BANDS - 2)
        matrix = np.zeros((BANDS, BANDS), np.float32)
        matrix[low, np.arange(BANDS)] = 1 - (source - low)
        matrix[low + 1, np.arange(BANDS)] += source - low
        matrices.append(matrix)
    return matrices


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Slaney's scale, linear below 1 kHz, which Whisper's filters use."""
    hertz = np.asarray(hertz, float)
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000) * 27 / np.log(6.4))


def mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    """The inverse of hertz_to_mel."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
