"""Mutated recordings over the whole way from the door to the renditions: refused with a code, or a whole message."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import Refused
from ingest.original import sniffed
from tests.pipeline.conftest import SAMPLES
from transcode import Media, Rejected, TranscodeSettings, transcode

FUZZED = (".m4a", ".webm", ".ogg", ".mp3", ".3gp", ".flac")
RECORDINGS = sorted(path for path in SAMPLES.iterdir() if path.suffix in FUZZED)
REJECTIONS = {"too_long", "too_short", "no_audio", "corrupt", "unsupported_format", "decode_limit"}


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(min(len(data), 4096))
    data[start : start + 8] = chance.choice((b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff" * 2))


def cut_out(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 4096)]


def repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randrange(1, 4096)]


MUTATIONS = (flip, overwrite, cut_out, repeat)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.sampled_from(RECORDINGS), st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_mutated_recording_is_refused_with_a_code_or_becomes_a_whole_message(
    recording: Path, mutations: list[object], seed: int
) -> None:
    data, chance = bytearray(recording.read_bytes()), random.Random(seed)
    for mutate in mutations:
        if data:
            mutate(data, chance)  # type: ignore[operator]
    with tempfile.TemporaryDirectory() as folder:
        code, media = outcome(bytes(data), Path(folder))
        if media is None:
            assert code in REJECTIONS
            return
        assert [made.format for made in media.renditions] == ["m4a", "opus"]
        assert all(0 < made.size == made.path.stat().st_size <= 512 * 1024 for made in media.renditions)
        assert 300 <= media.duration_ms <= 60_512
        assert len(media.waveform) == 100


def outcome(data: bytes, folder: Path) -> tuple[str | None, Media | None]:
    """The code of a refusal, or the message's sound; whatever else is raised is a defect."""
    try:
        sniffed(data[:65536])
        source, made = folder / "source", folder / "out"
        source.write_bytes(data)
        made.mkdir()
        return None, transcode(source, made, TranscodeSettings(jail="weak"))
    except (Refused, Rejected) as refusal:
        return refusal.code, None


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.name)
def test_the_recordings_themselves_are_fine(recording: Path) -> None:
    assert sniffed(recording.read_bytes()[:65536]).name
