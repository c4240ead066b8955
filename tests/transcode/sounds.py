"""Recordings for the tests, all made here: voices by numpy, tones by pydub, containers by ffmpeg."""

import subprocess
import warnings
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transcode.jail import ffmpeg_path

with warnings.catch_warnings():
    # pydub looks for an ffmpeg in PATH; here it only makes and reads WAV.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment
    from pydub.generators import Sine

Samples = NDArray[np.float64]


def voice(seconds: float, rate: int = 48_000, pitch: float = 140.0) -> Samples:
    """Syllables of a buzzing tone with formants and breath, as uneven in level as speech."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(7)
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * time) + 0.4 * np.sin(2 * np.pi * 0.7 * time), 0, None) ** 1.5
    buzz = sum(np.sin(2 * np.pi * pitch * n * time + n) / n for n in range(1, 12) if pitch * n < rate / 2)
    return 0.12 * syllables * buzz + 0.002 * noise.standard_normal(len(time))


def write_wav(path: Path, samples: Samples, rate: int = 48_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone(path: Path, seconds: float, level_dbfs: float = -20.0) -> Path:
    """A sine whose level pydub sets."""
    sine = Sine(440, sample_rate=16_000).to_audio_segment(duration=seconds * 1000, volume=level_dbfs)
    sine.export(path, "wav").close()
    return path


def read_wav(path: Path) -> AudioSegment:
    with path.open("rb") as file:
        return AudioSegment.from_file(file, format="wav")


def ffmpeg(*arguments: str | Path) -> str:
    """Bare ffmpeg, outside the jail; its log."""
    command = [ffmpeg_path(), "-nostdin", "-hide_banner", "-nostats", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stderr


def as_wav(source: Path) -> AudioSegment:
    """What a player hears."""
    decoded = source.with_name(source.name + ".decoded.wav")
    ffmpeg("-i", source, "-map", "0:a:0", decoded)
    return read_wav(decoded)
