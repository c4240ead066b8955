"""A recording from the archive's folder into the object store, by the checks of an upload."""

import os
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import Refused, too_large
from ingest.original import sniffed
from ingest.spool import Spool
from ingest.voice import Intake
from pipeline.context import Context
from pipeline.importing.confined import open_within
from pipeline.importing.lines import Line
from storage import imports
from storage.ids import new_id
from storage.imports import Known
from storage.messages import Original
from transcode.containers import HEAD_BYTES

_STEP_BYTES = 64 * 1024


@dataclass(frozen=True)
class Staged:
    """It lies in the store, under the key of a message that is yet to be made."""

    message_id: str
    original: Original


def key_of(thread_id: str, line: Line, sha256: str | None = None) -> str | None:
    return imports.key_of(thread_id, line.external_id, line.sender, line.sent_at, sha256)


class Stager:
    """Safe to share between threads; its method blocks."""

    def __init__(self, context: Context, intake: Intake, root: Path, dry_run: bool, retry_refused: bool) -> None:
        self._context = context
        self._intake = intake
        self._root = root
        self._dry_run = dry_run
        self._retry_refused = retry_refused

    def stage(self, line: Line, thread_id: str | None) -> Staged | Known | None:
        """None in a dry run. Raises Refused, OSError, StorageUnavailable and StorageFull."""
        with Spool() as spool:
            self._read(line.file, spool)
            sha256 = spool.finish()
            container = sniffed(spool.head(HEAD_BYTES))
            if known := self._known(line, thread_id, sha256):
                return known
            if self._dry_run:
                return None
            message_id = new_id("msg", line.sent_at.timestamp())
            key = self._intake.declare_original(message_id, sha256, container)
            self._context.store.put(key, spool.body(), size=spool.size, content_type=container.mime_type, sha256=sha256)
            return Staged(message_id, Original(key, spool.size, sha256, container.name))

    def _read(self, name: str, spool: Spool) -> None:
        """No more of it than may be, whatever its size says."""
        most = self._context.settings.ingest.max_bytes
        with open_within(self._root, name) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise too_large(most)
            while piece := file.read(_STEP_BYTES):
                spool.write_here(piece)
                if spool.size > most:
                    raise too_large(most)
        if not spool.size:
            raise Refused("no_audio", "the file is empty")

    def _known(self, line: Line, thread_id: str | None, sha256: str) -> Known | None:
        """None when it is to be brought, now or again."""
        key = thread_id and key_of(thread_id, line, sha256)
        if not key:
            return None
        with self._context.database.reading() as connection:
            known = imports.find(connection, [key]).get(key)
            if known and known.error_code and self._retry_refused:
                if not self._dry_run:
                    imports.forget_refused(connection, key)
                return None
            return known
