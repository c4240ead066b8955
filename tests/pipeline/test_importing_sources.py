"""Manifests that are hostile, damaged or endless."""

import os
import tracemalloc
from pathlib import Path

import pytest

from ingest.errors import Refused
from pipeline.importing.confined import open_within
from pipeline.importing.sources import Manifest, source_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    inside = tmp_path / "archive"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "file").write_bytes(b"recording")
    (inside / "link").symlink_to("deep/file")
    (inside / "out").symlink_to(tmp_path / "secret")
    (inside / "folder_out").symlink_to(tmp_path)
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("name", ["deep/file", "link", "./deep//file"])
def test_what_lies_within_is_opened(folder: Path, name: str) -> None:
    with open_within(folder, name) as file:
        assert file.read() == b"recording"


def test_a_root_that_is_a_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    with open_within(tmp_path / "alias", "deep/file") as file:
        assert file.read() == b"recording"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../secret", "outside"),
        ("deep/../../secret", "outside"),
        ("deep/../deep/file", "outside"),
        ("/etc/hostname", "outside"),
        ("out", "outside"),
        ("folder_out/secret", "outside"),
        ("a\0b", "outside"),
        ("nowhere", "not_found"),
        ("deep", "not_a_file"),
        (".", "not_a_file"),
        ("pipe", "not_a_file"),
    ],
)
def test_nothing_else_is(folder: Path, name: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        open_within(folder, name)
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["loop", "deep/file/more", "x" * 300])
def test_what_can_not_be_opened_is_an_error_of_the_file(folder: Path, name: str) -> None:
    with pytest.raises((OSError, Refused)):
        open_within(folder, name)


def test_a_long_manifest_takes_no_memory(tmp_path: Path) -> None:
    manifest = tmp_path / "long.jsonl"
    with manifest.open("w") as file:
        for number in range(20_000):
            file.write('{"file": "a", "thread_external_id": "t", "sender": "s", "sent_at": "2020-01-01T00:00:00Z"}\n')
            if number == 5:
                file.write("x" * 8_000_000 + "\n")
    tracemalloc.start()
    valid = sum(entry.line is not None for entry, _ in Manifest(manifest).entries())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert valid == 20_000
    assert peak < 2_000_000


def test_a_folder_tells_what_it_does_not_look_into(folder: Path) -> None:
    depths = folder / "deep"
    for _ in range(40):
        depths = depths / "d"
    depths.mkdir(parents=True)
    source = source_of(folder, "old", {"sender": "alice"})
    entries = {entry.file: entry for entry, _ in source.entries()}
    assert {name for name, entry in entries.items() if entry.line} == {"deep/file", "link", "out", "pipe"}
    told = {name for name, entry in entries.items() if not entry.line}
    assert told == {"folder_out", "loop", "deep" + "/d" * 32}


def test_a_folder_with_a_manifest_goes_by_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    source = source_of(tmp_path, "old", {"sender": "alice"})
    [(entry, read)] = source.entries()
    assert (entry.number, read, source.root) == (1, 3, tmp_path)
    assert "file" in entry.wrong
    assert "sender" not in entry.wrong
    assert "thread" not in entry.wrong
