from collections.abc import Callable
from pathlib import Path

import pytest

from tests.transcode.sounds import ffmpeg, voice, write_wav
from transcode import TranscodeSettings

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def settings() -> TranscodeSettings:
    return TranscodeSettings()


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a voice, as 48 kHz mono WAV."""
    return write_wav(tmp_path_factory.mktemp("spoken") / "spoken.wav", voice(2.0))


@pytest.fixture(scope="session")
def make(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make("x.m4a", "-c:a", "aac")`: the spoken recording in another container."""

    def make(name: str, *arguments: str, source: Path | None = None) -> Path:
        path = tmp_path_factory.mktemp("made") / name
        ffmpeg("-i", source or spoken, *arguments, path)
        return path

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir(mode=0o700)
    return folder
