"""Archives of recordings to import, and the workers that hear them."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.importing.importer import Importer, Options
from pipeline.importing.report import Report
from pipeline.importing.sources import source_of
from storage.jobs import QUEUES, Lane
from tests.pipeline.conftest import SAMPLES, sql

SENT_AT = "2021-03-04T05:06:07Z"
Json = dict[str, Any]


class Archive:
    """A folder with the sample recordings and a manifest that is written line by line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "archive.jsonl"
        self.manifest.touch()
        for name in ("late.ogg", "answer.webm", "meeting.m4a"):
            shutil.copy(SAMPLES / name, folder)

    def add(self, raw: str | None = None, **fields: Any) -> None:
        line = {"file": "late.ogg", "thread_external_id": "old", "sender": "alice", "sent_at": SENT_AT, **fields}
        given = {name: value for name, value in line.items() if value is not None}
        with self.manifest.open("a") as file:
            file.write((raw if raw is not None else json.dumps(given)) + "\n")


def brought(
    context: Context, source: Path, *, thread: str | None = None, sender: str | None = None, **options: Any
) -> Json:
    """The report, with its troubles. Waits for no workers unless told."""
    archive = source_of(source, thread, {"sender": sender} if sender else {})
    with Report(dry_run=options.get("dry_run", False)) as report:
        chosen = Options(**{"wait": False, **options})
        Importer(context, archive, chosen, report, lambda read: None).run()
        troubles = [json.loads(line) for line in report._stored()]
        return {**report.summary(), "troubles": troubles}


@contextmanager
def working(context: Context) -> Iterator[None]:
    """Batch work is done meanwhile."""
    done = threading.Event()

    def work() -> None:
        drain = Drain(context, Lane.BATCH)
        while not done.wait(0.02):
            for queue in QUEUES:
                drain(queue)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join()


def stored(context: Context) -> list[Any]:
    """Messages with their threads' external ids, as they stand in their threads."""
    return sql(
        context,
        "SELECT m.*, t.external_id AS thread, v.state AS voice FROM messages m JOIN threads t ON t.id = m.thread_id"
        " LEFT JOIN voices v ON v.message_id = m.id WHERE m.deleted_at IS NULL ORDER BY t.external_id, m.seq",
    )
