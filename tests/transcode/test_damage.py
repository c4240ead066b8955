"""Damaged files: what can be decoded plays, the rest is refused, and nothing else ever happens."""

import random
from pathlib import Path

import pytest

from tests.transcode.conftest import Make
from tests.transcode.sounds import voice, write_wav
from transcode import Rejected, TranscodeSettings
from transcode.decode import decode

CONTAINERS = {
    "x.m4a": ("-c:a", "aac", "-movflags", "+faststart"),
    "fragmented.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000"),
    "x.ogg": ("-c:a", "libopus"),
    "x.webm": ("-c:a", "libopus"),
    "x.mp3": ("-c:a", "libmp3lame"),
    "x.wav": (),
    "x.flac": ("-c:a", "flac"),
    "x.aac": ("-c:a", "aac"),
    "x.amr": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-b:a", "12.2k"),
    "x.caf": ("-c:a", "pcm_s16le"),
    "x.aiff": (),
    "x.wma": ("-c:a", "wmav2"),
    "x.3gp": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-b:a", "12.2k", "-movflags", "+faststart"),
    "x.mov": ("-c:a", "pcm_s16le", "-movflags", "+faststart"),
    "x.mka": ("-c:a", "flac"),
    "x.w64": (),
    "x.au": (),
    "x.ac3": ("-c:a", "ac3"),
}


def heard(content: bytes, folder: Path, settings: TranscodeSettings) -> float:
    """Seconds that play; none when refused. Anything but a refusal fails the test."""
    source = folder / "source"
    source.write_bytes(content)
    try:
        return decode(source, folder, settings).samples / 48_000
    except Rejected:
        return 0.0


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_is_left_of_a_cut_file_plays(name: str, make: Make, folder: Path, settings: TranscodeSettings) -> None:
    whole = make(name, *CONTAINERS[name]).read_bytes()
    for tenths in range(1, 10):
        assert heard(whole[: len(whole) * tenths // 10], folder, settings) <= 2.1
    # Half of the two seconds is there, whatever the container, and its index is in front.
    assert heard(whole[: len(whole) * 6 // 10], folder, settings) > 0.8


@pytest.mark.parametrize("name", CONTAINERS)
def test_flipped_bits_end_as_sound_or_as_a_refusal(
    name: str, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    whole = make(name, *CONTAINERS[name]).read_bytes()
    for seed in range(2):
        dice, damaged = random.Random(seed), bytearray(whole)
        reach = len(damaged) if seed % 2 else min(600, len(damaged))
        for _ in range(12):
            damaged[dice.randrange(reach)] ^= 1 << dice.randrange(8)
        assert heard(bytes(damaged), folder, settings) <= 61


def test_what_is_left_of_a_chain_whose_links_differ_plays(
    make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    low, high = (make("x.ogg", "-c:a", "libvorbis", "-ar", rate).read_bytes() for rate in ("16000", "44100"))
    whole, dice = low + high, random.Random(1)
    for tenths in range(1, 10):
        cut = whole[: len(whole) * tenths // 10]
        assert (2.0 if len(cut) > len(low) else 0) <= heard(cut, folder, settings) <= 4.1
    for _ in range(4):
        damaged = bytearray(whole)
        for _ in range(12):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        assert heard(bytes(damaged), folder, settings) <= 4.2


def test_a_few_damaged_packets_do_not_lose_the_message(
    make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    long = write_wav(tmp_path / "long.wav", voice(6.0))
    for name in ("x.mp3", "x.ogg", "x.m4a", "x.aac"):
        damaged = bytearray(make(name, source=long).read_bytes())
        middle = len(damaged) // 2
        damaged[middle : middle + 60] = bytes(60)
        assert heard(bytes(damaged), folder, settings) > 4.5
