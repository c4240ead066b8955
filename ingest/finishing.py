"""An upload that has all its bytes becomes a message, once, however many processes try."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from ingest.errors import Refused
from ingest.original import Upload
from ingest.recent import Recent
from ingest.spool import Pieces, Spool
from ingest.voice import Intake
from storage import uploads
from storage.database import Database
from storage.errors import NoThread
from storage.jobs import Queue
from storage.uploads import NotAccepted, StoredUpload


class Finisher:
    """Safe to share between threads; its methods block. `ring` is told the queue that has work."""

    def __init__(self, database: Database, intake: Intake, recent: Recent, ring: Callable[[Queue], None]) -> None:
        self._database = database
        self._recent = recent
        self._intake = intake
        self._ring = ring

    def finish(self, upload: StoredUpload, pieces: list[bytes] | None = None) -> StoredUpload | None:
        """The upload as it is then, finished or refused; None when another request was quicker or it was terminated.

        `pieces` are all its bytes where the last of them are in no row yet. Raises StorageUnavailable and StorageFull:
        what is in rows is not lost, and can be tried again.
        """
        try:
            return self._finished(upload, pieces)
        except NotAccepted:
            return None

    def give_up(self, upload: StoredUpload) -> None:
        """Lets the next one try at once."""
        with self._database.writing() as connection:
            uploads.let_go(connection, upload.id, upload.id)

    def _finished(self, upload: StoredUpload, pieces: list[bytes] | None) -> StoredUpload:
        """Finished or refused; raises NotAccepted."""
        try:
            if pieces is not None:
                return self._make_message(upload, Pieces(pieces), uploads.complete)
            if known := self._recent.take(upload.id, upload.length):
                return self._make_message(upload, Pieces(known), uploads.finish)
            with self._read_again(upload) as spool:
                return self._make_message(upload, spool, uploads.finish)
        except NoThread:
            return self._refuse(upload, Refused("not_found", "you are no longer in the thread that this was for"))
        except Refused as error:
            return self._refuse(upload, error)

    @contextmanager
    def _read_again(self, upload: StoredUpload) -> Iterator[Spool]:
        with Spool(upload.length) as spool:
            with self._database.reading() as connection:
                for chunk in uploads.chunks(connection, upload.id):
                    spool.write_here(chunk)
            yield spool

    def _make_message(
        self,
        upload: StoredUpload,
        recording: Spool | Pieces,
        end: Callable[[Connection, StoredUpload, str], None],
    ) -> StoredUpload:
        """`end` is what happens to the upload in the transaction that makes the message."""
        if recording.size != upload.length:
            raise NotAccepted
        voice = Upload(upload.thread_id, upload.user_id, upload.language, upload.external_id)
        message = self._intake.keep(
            voice, recording, recording.finish(), lambda connection, message_id: end(connection, upload, message_id)
        )
        self._ring("media")
        return replace(upload, received=upload.length, state="finished", message_id=message.id, holder=None)

    def _refuse(self, upload: StoredUpload, error: Refused) -> StoredUpload:
        with self._database.transaction() as connection:
            uploads.refuse(connection, upload.id, error.code, error.message)
        return replace(upload, state="refused", error_code=error.code, error_message=error.message, holder=None)
