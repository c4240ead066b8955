"""From a recording to everything that a message is made of."""

from dataclasses import dataclass
from pathlib import Path

from transcode.commands import PCM_RATE
from transcode.decode import decode
from transcode.encode import Rendition, encode, encode_speech
from transcode.settings import TranscodeSettings
from transcode.waveform import peaks, read_samples, waveform


@dataclass(frozen=True)
class Media:
    """A message's sound.

    `duration_ms` counts decoded samples; `loudness_lufs` (EBU R128, None for silence), `waveform` (100 bytes, linear
    peak 0-255 of full scale) and `peaks` (up to 1,000 little-endian int16 min,max pairs) are of the recording before
    gain; `renditions` has the m4a first; `speech` is a 16 kHz mono FLAC at the level of the recording.
    """

    duration_ms: int
    loudness_lufs: float | None
    waveform: bytes
    peaks: bytes
    renditions: tuple[Rendition, ...]
    speech: Path


def transcode(source: Path, folder: Path, settings: TranscodeSettings) -> Media:
    """Make a message of the recording `source`, its files in `folder`, a private one of the caller's.

    Raises Rejected when the file is at fault, JailError or OSError when the machine is, TranscodeFailed when that can't
    be told.
    """
    sound = decode(source, folder, settings)
    try:
        samples = read_samples(sound.pcm)
        renditions, speech = encode(sound, samples, folder, settings)
        return Media(
            duration_ms=round(sound.samples * 1000 / PCM_RATE),
            loudness_lufs=sound.recording_lufs,
            waveform=waveform(samples),
            peaks=peaks(samples),
            renditions=renditions,
            speech=speech,
        )
    finally:
        sound.pcm.unlink()


def make_speech(source: Path, folder: Path, settings: TranscodeSettings) -> Path:
    """Only the speech FLAC, again, from an original; raises as `transcode` does."""
    sound = decode(source, folder, settings)
    try:
        return encode_speech(sound, folder, settings)
    finally:
        sound.pcm.unlink()
