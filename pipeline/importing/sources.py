"""Where recordings to import are listed: a manifest, or a folder that is its own."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pipeline.importing.lines import Line, Wrong, checked
from storage.ids import is_id

MANIFEST = "manifest.jsonl"
# Longer than any line with the most participants.
_LONGEST_LINE = 256 * 1024
_DEEPEST = 32


@dataclass(frozen=True)
class Entry:
    """`number` counts from 1: a manifest's lines, a folder's files. Without a `line`, `wrong` says why."""

    number: int
    file: str
    line: Line | None
    wrong: str = ""


@dataclass(frozen=True)
class Manifest:
    """JSON Lines. `thread` and `defaults` hold for lines that don't say otherwise."""

    path: Path
    thread: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.path.parent

    @property
    def size(self) -> int:
        """In the unit of `entries`' second value."""
        return self.path.stat().st_size

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """With each, how much of the manifest is read then. Empty lines are passed over."""
        number = 0
        with self.path.open("rb") as file:
            for raw in _lines(file):
                number += 1
                if raw.strip():
                    yield self._entry(number, raw), file.tell()

    def _entry(self, number: int, raw: bytes) -> Entry:
        name = ""
        try:
            if len(raw) > _LONGEST_LINE:
                raise Wrong(f"longer than {_LONGEST_LINE} bytes")
            fields = _parsed(raw)
            name = str(fields.get("file", ""))[:200]
            return Entry(number, name, checked(self._completed(fields)))
        except Wrong as error:
            return Entry(number, name, None, str(error))

    def _completed(self, fields: dict[str, Any]) -> dict[str, Any]:
        named = "thread" in fields or "thread_external_id" in fields
        return {**({} if named else self.thread), **self.defaults, **fields}


@dataclass(frozen=True)
class Folder:
    """Every file is a recording, sent when it was last changed. Its path is its external id, for copies lose times.

    Where no `thread` is given, its first sub-folder names it: by the host application's id or ours.
    """

    root: Path
    thread: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    size: None = None

    def entries(self) -> Iterator[tuple[Entry, int]]:
        for number, path in enumerate(_files(self.root), 1):
            name = path.relative_to(self.root).as_posix()
            try:
                yield Entry(number, name, checked(self._fields(path, name))), number
            except Wrong as error:
                yield Entry(number, name, None, str(error)), number
            except OSError as error:
                yield Entry(number, name, None, error.strerror or "can't be read"), number

    def _fields(self, path: Path, name: str) -> dict[str, Any]:
        if path.is_dir():
            raise Wrong("a folder that can't be looked into, or a link to one, or too deep")
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        thread = self.thread or self._named_by(name)
        return {**thread, **self.defaults, "file": name, "external_id": name, "sent_at": changed_at}

    def _named_by(self, name: str) -> dict[str, str]:
        first, *deeper = PurePosixPath(name).parts
        if not deeper:
            raise Wrong("lies in no sub-folder that names its thread: say --thread")
        return named_thread(first)


def source_of(path: Path, thread: str | None, defaults: Mapping[str, Any]) -> Manifest | Folder:
    """A manifest, a folder with one in it, or a folder. `thread` is its id or the host application's."""
    named = {} if thread is None else named_thread(thread)
    if path.is_file():
        return Manifest(path, named, defaults)
    listed = path / MANIFEST
    return Manifest(listed, named, defaults) if listed.is_file() else Folder(path, named, defaults)


def named_thread(name: str) -> dict[str, str]:
    return {"thread" if is_id("thr", name) else "thread_external_id": name}


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        raise Wrong("not a JSON object in UTF-8") from None
    if not isinstance(fields, dict):
        raise Wrong("not a JSON object")
    return fields


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Never holds more of an endless line than its beginning."""
    while raw := file.readline(_LONGEST_LINE + 1):
        part = raw
        while len(part) > _LONGEST_LINE and not part.endswith(b"\n"):
            part = file.readline(_LONGEST_LINE + 1)
        yield raw


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """All of them below, none hidden; links are listed, and followed only within (see confined.py). A folder that can't
    be looked into stands for what is in it."""
    try:
        found = os.scandir(folder)
    except OSError:
        yield folder
        return
    with found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
            elif depth < _DEEPEST:
                yield from _files(Path(entry.path), depth + 1)
            else:
                yield Path(entry.path)
