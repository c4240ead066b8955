"""An upload that has all its bytes becomes a message, once, however many processes try."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from ingest.errors import Refused
from ingest.recent import Recent
from ingest.spool import Spool
from ingest.voice import Intake, NoThread, Upload
from storage import uploads
from storage.database import Database
from storage.jobs import Queue
from storage.uploads import NotAccepted, StoredUpload


class Finisher:
    """Safe to share between threads; its methods block. `ring` is told the queue that has work."""

    def __init__(self, database: Database, intake: Intake, recent: Recent, ring: Callable[[Queue], None]) -> None:
        self._database = database
        self._recent = recent
        self._intake = intake
        self._ring = ring

    def finish(self, upload: StoredUpload) -> StoredUpload | None:
        """The upload as it is then, finished or refused; None when another request was quicker or it was terminated.

        Raises StorageUnavailable and StorageFull: nothing is lost, it can be tried again.
        """
        try:
            return self._make_message(upload)
        except NotAccepted:
            return None
        except NoThread:
            return self._refuse(upload, Refused("not_found", "you are no longer in the thread that this was for"))
        except Refused as error:
            return self._refuse(upload, error)

    def give_up(self, upload: StoredUpload) -> None:
        """Lets the next one try at once."""
        with self._database.writing() as connection:
            uploads.let_go(connection, upload.id, upload.id)

    def _make_message(self, upload: StoredUpload) -> StoredUpload:
        with Spool(upload.length) as spool:
            self._fill(spool, upload)
            if spool.size != upload.length:
                raise NotAccepted
            sha256 = spool.finish()
            voice = Upload(upload.thread_id, upload.user_id, upload.language, upload.external_id)
            message = self._intake.keep(voice, spool, sha256, self._settle(upload))
        self._ring("media")
        return replace(upload, state="finished", message_id=message.id, holder=None)

    def _fill(self, spool: Spool, upload: StoredUpload) -> None:
        pieces = self._recent.take(upload.id, upload.length)
        if pieces is not None:
            for piece in pieces:
                spool.write_here(piece)
            return
        with self._database.reading() as connection:
            for chunk in uploads.chunks(connection, upload.id):
                spool.write_here(chunk)

    def _settle(self, upload: StoredUpload) -> Callable[[Connection, str], None]:
        return lambda connection, message_id: uploads.finish(connection, upload.id, message_id)

    def _refuse(self, upload: StoredUpload, error: Refused) -> StoredUpload:
        with self._database.transaction() as connection:
            uploads.refuse(connection, upload.id, error.code, error.message)
        return replace(upload, state="refused", error_code=error.code, error_message=error.message, holder=None)
