"""How long a message may be: decoded samples decide, never a header."""

from pathlib import Path

import pytest

from tests.transcode.conftest import Make
from tests.transcode.sounds import tone, voice, write_wav
from transcode import Rejected, TranscodeSettings, transcode
from transcode.decode import decode


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("minute") / "minute.wav", voice(61.5, 16_000), 16_000)


def verdict(source: Path, folder: Path, settings: TranscodeSettings) -> str | float:
    try:
        return decode(source, folder, settings).samples / 48_000
    except Rejected as refused:
        return refused.code


FAST = {
    "x.flac": ("-ar", "48000", "-compression_level", "0"),
    "x.m4a": ("-ar", "48000", "-aac_coder", "fast"),
    "x.ogg": ("-c:a", "libopus", "-compression_level", "0"),
    "x.mp3": ("-ar", "48000", "-compression_level", "9"),
}


@pytest.mark.parametrize("seconds", [59.9, 60.0, 60.2])
def test_a_minute_and_its_padding_is_accepted(
    seconds: float, minute: Path, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    cut = make("x.wav", "-t", str(seconds), "-ar", "44100", source=minute)
    assert verdict(cut, folder, settings) == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("name", FAST)
def test_the_limit_is_the_same_in_every_format(
    name: str, minute: Path, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    accepted = make(name, "-t", "60.2", *FAST[name], source=minute)
    assert verdict(accepted, folder, settings) == pytest.approx(60.2, abs=0.03)
    assert verdict(make(name, "-t", "60.5", *FAST[name], source=minute), folder, settings) == "too_long"


def test_low_rates_may_pad_by_a_whole_block(
    minute: Path, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    assert verdict(make("x.wav", "-t", "60.5", "-ar", "8000", source=minute), folder, settings) == 60.5
    assert verdict(make("x.wav", "-t", "60.6", "-ar", "8000", source=minute), folder, settings) == "too_long"


def test_less_than_a_third_of_a_second_is_too_short(tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    assert verdict(tone(tmp_path / "short.wav", 0.2), folder, settings) == "too_short"
    assert verdict(tone(tmp_path / "enough.wav", 0.3), folder, settings) == pytest.approx(0.3, abs=0.001)


def test_the_limit_is_a_setting(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(Rejected, match="longer than 5 seconds"):
        transcode(tone(tmp_path / "x.wav", 6), folder, TranscodeSettings(max_duration_s=5))


def test_the_longest_message_fits_everywhere(
    minute: Path, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    media = transcode(make("x.wav", "-t", "60.2", "-ar", "48000", source=minute), folder, settings)
    assert all(rendition.size < 512 * 1024 for rendition in media.renditions)
    assert len(media.peaks) == 4000
    assert len(media.waveform) == 100
