from typing import Any

import numpy as np
import numpy.typing as npt

from transcribe.clip import SAMPLE_RATE, Samples
from transcribe.decoding import FRAMES_PER_SECOND

WINDOW = 400
HOP = SAMPLE_RATE // FRAMES_PER_SECOND
HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def log_mel(samples: Samples, filters: npt.NDArray[Any]) -> Samples:
    """Whisper's features, (bands, frames) at 100 frames per second; `filters` are the model's, (bands, 201).

    The same numbers as faster-whisper's extractor in half the time: for short messages that is a tenth of all work.
    """
    padded = np.pad(np.pad(samples, (0, HOP)), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
    spectra = np.fft.rfft(frames * HANN)
    powers = (spectra.real**2 + spectra.imag**2) @ filters.T
    levels = np.log10(np.maximum(powers, 1e-10))
    features: Samples = (np.maximum(levels, levels.max() - 8.0).T + 4.0) / 4.0
    return features
