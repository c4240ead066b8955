"""What the database knows of some lines before their files are read: a whole group in four queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pipeline.importing.lines import Line
from pipeline.importing.sources import Entry
from pipeline.importing.staging import key_of
from storage import imports, threads
from storage.imports import Known, Progress

ExternalName = tuple[str, str, str]


@dataclass(frozen=True)
class Screened:
    """`thread_id` is None where the import is to make the thread, `key` where it takes the content.

    `refusal` is a code and what it means. `was_sent` tells of a message that came another way, by its external id.
    """

    entry: Entry
    thread_id: str | None = None
    key: str | None = None
    known: Known | None = None
    progress: Progress | None = None
    was_sent: bool = False
    refusal: tuple[str, str] | None = None


def screen(connection: Connection, entries: Sequence[Entry]) -> Iterator[Screened]:
    """In the order of the entries."""
    found = _threads(connection, [entry.line for entry in entries if entry.line])
    named = {
        _name(thread_id, entry.line): key_of(thread_id, entry.line)
        for entry in entries
        if entry.line and entry.line.external_id and (thread_id := found.get(_thread_name(entry.line)))
    }
    known = imports.find(connection, [key for key in named.values() if key])
    reached = imports.progress(connection, {each.message_id: each.key for each in known.values()})
    sent = imports.sent_here(connection, [name for name, key in named.items() if key not in known])
    for entry in entries:
        screened = _screened(entry, found, known, sent)
        yield replace(screened, progress=reached.get(screened.known.message_id)) if screened.known else screened


def _screened(
    entry: Entry, found: dict[tuple[str, str], str], known: dict[str, Known], sent: dict[ExternalName, str]
) -> Screened:
    line = entry.line
    if line is None:
        return Screened(entry, refusal=("invalid_line", entry.wrong))
    thread_id = found.get(_thread_name(line))
    if thread_id is None:
        missing = ("not_found", "there is no such thread") if line.thread else None
        return Screened(entry, refusal=missing)
    key = key_of(thread_id, line)
    was_sent = _name(thread_id, line) in sent
    return Screened(entry, thread_id, key, known.get(key) if key else None, was_sent=was_sent)


def _threads(connection: Connection, lines: Sequence[Line]) -> dict[tuple[str, str], str]:
    names = {_thread_name(line) for line in lines}
    ids, external_ids = ({name for kind, name in names if kind == wanted} for wanted in ("id", "external_id"))
    return threads.named(connection, ids, external_ids)


def _thread_name(line: Line) -> tuple[str, str]:
    return ("id", line.thread) if line.thread is not None else ("external_id", str(line.thread_external_id))


def _name(thread_id: str, line: Line) -> ExternalName:
    return thread_id, line.sender, line.external_id or ""
