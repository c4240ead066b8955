"""Step `features`: log mel power of each training sentence, kept as float16 so that training augments it there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from whisper.audio import mel_filters

BANDS: Final = 80
HOP: Final = 160
FRAMES_PER_SECOND: Final = 100
FLOOR: Final = -10.0


def make_features(data: Path, folder: Path) -> None:
    """Writes the spectra of each shard that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for listing in sorted(data.glob("train-*.json")):
        target = folder / f"{listing.stem}.npy"
        if target.exists():
            continue
        samples = np.load(listing.with_suffix(".npy")).astype(np.float32) / 32_768
        spans = [(raw["offset"], raw["samples"]) for raw in json.loads(listing.read_text("utf-8"))]
        spectra = [log_mel(samples[start : start + count]).astype(np.float16) for start, count in spans]
        partial = target.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(spectra))
        partial.rename(target)
        print(target.name, flush=True)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Base-10 logarithm of the mel power of 16 kHz samples: [frames, BANDS], at least FLOOR.

    The same as faster-whisper's extractor before it limits and scales the range.
    """
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (0, HOP))
    spectrum = torch.stft(padded, 400, HOP, window=torch.hann_window(400), return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    return torch.clamp(mel_filters("cpu", BANDS) @ power, min=10**FLOOR).log10().T.contiguous().numpy()


def frame_count(samples: int) -> int:
    """How many frames log_mel makes of so many samples."""
    return (samples + HOP) // HOP


def limit_and_scale(spectra: np.ndarray) -> np.ndarray:
    """Whisper's normal range: at most 8 decades below the loudest, scaled to about -1..1."""
    return (np.maximum(spectra, spectra.max() - 8) + 4) / 4
