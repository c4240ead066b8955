"""Float formats also hold what is no sound and what encoders fail on: no numbers, or numbers beyond all measure."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transcode.errors import Rejected

# 18 dB above full scale: what a recording that was merely made too loud may reach.
_LOUDEST = 8.0
_BLOCK_BYTES = 256 * 1024


def mend(pcm: Path) -> bool:
    """Make every sample of a decode finite and bounded, where it is not; whether anything changed.

    Raises Rejected when no sample is a number.
    """
    changed = numbers = False
    with pcm.open("r+b") as file:
        while block := file.read(_BLOCK_BYTES):
            samples = np.frombuffer(block, "<f4")
            if np.abs(samples).max() <= _LOUDEST:
                numbers = True
                continue
            finite = np.isfinite(samples)
            numbers, changed = numbers or bool(finite.any()), True
            file.seek(-len(block), 1)
            file.write(_mended(samples, finite))
    if not numbers:
        raise Rejected("corrupt", "The recording is damaged: nothing in it is sound.")
    return changed


def _mended(samples: NDArray[np.float32], finite: NDArray[np.bool_]) -> bytes:
    bounded: NDArray[np.float32] = np.where(finite, samples.clip(-_LOUDEST, _LOUDEST), np.float32(0))
    return bounded.tobytes()
