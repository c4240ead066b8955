"""The first look at an upload: magic bytes, nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcode.conftest import Make
from transcode import sniff
from transcode.containers import HEAD_BYTES

MAGIC = [
    b"",
    b"ID3\x03\0\0\0\0\0\x05",
    b"RIFF\0\0\0\0WAVE",
    b"\0\0\0\x18ftyp",
    b"\xff\xfb\x90\0",
    b"\xff\xf1\x50\x80",
    b"OggS",
]


@pytest.mark.parametrize(
    ("name", "container", "mime_type"),
    [
        ("x.m4a", "mp4", "audio/mp4"),
        ("x.mov", "mov", "video/quicktime"),
        ("x.3gp", "3gp", "audio/3gpp"),
        ("x.ogg", "ogg", "audio/ogg"),
        ("x.webm", "webm", "audio/webm"),
        ("x.mka", "matroska", "audio/x-matroska"),
        ("x.wav", "wav", "audio/wav"),
        ("x.w64", "w64", "audio/x-w64"),
        ("x.flac", "flac", "audio/flac"),
        ("x.mp3", "mp3", "audio/mpeg"),
        ("x.mp2", "mp3", "audio/mpeg"),
        ("x.aac", "aac", "audio/aac"),
        ("x.ac3", "ac3", "audio/ac3"),
        ("x.caf", "caf", "audio/x-caf"),
        ("x.aiff", "aiff", "audio/aiff"),
        ("x.wma", "asf", "audio/x-ms-wma"),
        ("x.au", "au", "audio/basic"),
    ],
)
def test_every_container_is_known(name: str, container: str, mime_type: str, make: Make) -> None:
    options = ("-c:a", "aac", "-ar", "44100") if name == "x.3gp" else ()
    found = sniff(make(name, *options).read_bytes()[:HEAD_BYTES])
    assert found is not None
    assert (found.name, found.mime_type) == (container, mime_type)


def test_a_name_means_nothing(make: Make, tmp_path: Path) -> None:
    found = sniff(make("x.m4a").rename(tmp_path / "x.mp3").read_bytes())
    assert found is not None
    assert found.name == "mp4"


@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=300))
def test_no_bytes_are_too_strange_to_look_at(magic: bytes, rest: bytes) -> None:
    sniff(magic + rest)


def test_a_head_of_nothing_but_sync_bytes_is_quickly_refused() -> None:
    assert sniff(b"\xff" * HEAD_BYTES) is None
    assert sniff(b"\xff\xfb" * (HEAD_BYTES // 2)) is None
