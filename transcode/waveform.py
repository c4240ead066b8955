"""What a player draws: the extremes of the decoded samples."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PEAKS = 1000
BARS = 100
_FULL_SCALE = 32767


def read_samples(pcm: Path) -> NDArray[np.float32]:
    """The PCM of a decode, mapped rather than read."""
    samples: NDArray[np.float32] = np.memmap(pcm, dtype="<f4", mode="r")
    return samples


def peaks(samples: NDArray[np.float32]) -> bytes:
    """Up to 1,000 (min, max) pairs as little-endian int16, in order of time; needs at least one sample."""
    count = min(PEAKS, len(samples))
    starts = np.arange(count) * len(samples) // count
    pairs = np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], axis=1)
    scaled: NDArray[np.int16] = (np.clip(pairs, -1.0, 1.0) * _FULL_SCALE).round().astype("<i2")
    return scaled.tobytes()


def waveform(samples: NDArray[np.float32]) -> bytes:
    """100 linear peaks, 0-255 of full scale."""
    starts = np.arange(BARS) * len(samples) // BARS
    bars: NDArray[np.float32] = np.maximum.reduceat(np.abs(samples), starts)
    return bytes((np.minimum(bars, 1.0) * 255).round().astype(np.uint8))
