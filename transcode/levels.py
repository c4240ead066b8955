"""How loud to make a message: one gain, and a limiter that the gain allows for."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transcode.settings import TranscodeSettings

_BLOCK = 240  # 5 ms at 48 kHz, the limiter's attack
_RELEASE_BLOCKS = 10
_GATE = 0.1  # EBU R128 leaves out what is 10 LU below the mean
_ROUNDS = 6


@dataclass(frozen=True)
class Level:
    """`ceiling_db`: what samples are limited to (dB of full scale); None where none comes near it."""

    gain_db: float
    ceiling_db: float | None


def level(samples: NDArray[np.float32], lufs: float | None, ceiling_db: float, settings: TranscodeSettings) -> Level:
    """The gain that brings `samples` (48 kHz, mono, of loudness `lufs`) to the target loudness behind a limiter.

    A limiter takes loudness away with the peaks, 1 to 2 LU from plain speech: the gain makes up for it.
    """
    gain_db = _within(settings, settings.loudness_target_lufs - lufs) if lufs is not None else 0.0
    peak = float(np.abs(samples).max(initial=0.0))
    if peak * _ratio(gain_db) <= _ratio(ceiling_db):
        return Level(gain_db, None)
    if lufs is None:
        return Level(gain_db, ceiling_db)
    peaks, energies = _blocks(samples)
    wanted_db = gain_db
    for _ in range(_ROUNDS):
        gain_db = _within(settings, wanted_db + _loss_db(peaks, energies, gain_db, ceiling_db))
    return Level(gain_db, ceiling_db)


def _within(settings: TranscodeSettings, gain_db: float) -> float:
    return min(gain_db, settings.loudness_max_gain_db)


def _blocks(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The highest sample and the energy of each block."""
    blocks = np.abs(samples[: max(1, len(samples) // _BLOCK) * _BLOCK]).reshape(-1, min(_BLOCK, len(samples)))
    return blocks.max(axis=1), np.square(blocks).mean(axis=1)


def _loss_db(peaks: NDArray[np.float32], energies: NDArray[np.float32], gain_db: float, ceiling_db: float) -> float:
    """What the limiter takes from the loudness: it lets go of a peak evenly over its release."""
    needed = np.minimum(1.0, _ratio(ceiling_db - gain_db) / np.maximum(peaks, 1e-9))
    held = needed.copy()
    for blocks_ago in range(1, _RELEASE_BLOCKS):
        released = blocks_ago / _RELEASE_BLOCKS
        held[blocks_ago:] = np.minimum(held[blocks_ago:], needed[:-blocks_ago] * (1 - released) + released)
    heard = energies > _GATE * energies.mean()
    return 10 * math.log10(energies[heard].sum() / (energies * np.square(held))[heard].sum())


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 20))
