from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from transcribe.errors import TranscribeError

SAMPLE_RATE = 16_000
LONGEST_S = 61.0

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording to transcribe.

    samples: float32, 16 kHz, mono, full scale 1.0, at most 61 s.
    language: obeyed when given ("en", "pt-BR"); otherwise the language is detected.
    prior: how usual each language is here (thread, sender), any positive weights; decides unsure detections.
    prompt: names and terms that may occur; cut to what the operator's hotwords leave of the model's budget.
    """

    samples: Samples
    language: str | None = None
    prior: Mapping[str, float] | None = None
    prompt: str | None = None

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def load_clip(
    speech: Path | BinaryIO,
    *,
    language: str | None = None,
    prior: Mapping[str, float] | None = None,
    prompt: str | None = None,
) -> Clip:
    """Read one of our own speech FLAC files (16 kHz mono). Raises TranscribeError `bad_audio` or `too_long`."""
    import av

    try:
        with av.open(str(speech) if isinstance(speech, Path) else speech, format="flac") as container:
            samples = _samples(container)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise TranscribeError("bad_audio", f"not a readable FLAC file: {error}") from error
    return Clip(samples, language, prior, prompt)


def _samples(container: Any) -> Samples:
    stream = container.streams.audio[0]
    if stream.rate != SAMPLE_RATE or stream.channels != 1:
        found = f"{stream.rate} Hz with {stream.channels} channels"
        raise TranscribeError("bad_audio", f"speech audio is 16000 Hz mono, this file has {found}")
    blocks: list[Samples] = []
    total = 0
    for frame in container.decode(stream):
        block = frame.to_ndarray().reshape(-1)
        scale = float(np.iinfo(block.dtype).max) + 1.0
        blocks.append(block.astype(np.float32) / np.float32(scale))
        total += block.size
        if total > LONGEST_S * SAMPLE_RATE:
            raise TranscribeError("too_long", f"speech audio is longer than {LONGEST_S:g} s")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def validate(clip: Clip) -> None:
    """Raises TranscribeError for what the engine must not be shown."""
    samples = clip.samples
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise TranscribeError("bad_audio", f"expected mono float32, got {samples.dtype} of shape {samples.shape}")
    if samples.size == 0:
        raise TranscribeError("bad_audio", "the recording has no samples")
    if samples.size > LONGEST_S * SAMPLE_RATE:
        raise TranscribeError("too_long", f"{clip.duration_s:.1f} s is longer than {LONGEST_S:g} s")
    if not np.isfinite(samples).all():
        raise TranscribeError("bad_audio", "the recording has samples that are not finite numbers")
