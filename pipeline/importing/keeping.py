"""The transaction that makes an imported recording a message of its thread."""

from sqlalchemy import Connection

from ingest.errors import Refused
from pipeline.context import Context
from pipeline.importing.lines import Line
from pipeline.importing.staging import Staged, key_of
from storage import arrivals, history, imports, intents, people, threads
from storage.jobs import Lane


class AlreadyThere(Exception):
    """Another import brought it meanwhile, or an earlier line of this one."""


def keep(context: Context, line: Line, staged: Staged) -> str:
    """The import's key of it. Raises AlreadyThere, Refused (`erased`, `thread_full`), StorageUnavailable, StorageFull.

    Quotas do not apply: they keep one person from filling the store, and here is the operator with years of everybody.
    """
    try:
        with context.database.transaction() as connection:
            thread_id = _thread(connection, line)
            key = key_of(thread_id, line, staged.original.sha256)
            assert key is not None
            if not imports.claim(connection, key, staged.message_id):
                raise AlreadyThere
            _refuse_the_erased(connection, line)
            _admit(connection, thread_id, line)
            arrivals.add_voice(
                connection,
                staged.message_id,
                thread_id,
                line.sender,
                staged.original,
                language=line.language,
                external_id=line.external_id,
                lane=Lane.BATCH,
                sent_at=line.sent_at,
            )
            return key
    except (AlreadyThere, Refused):
        with context.database.transaction() as connection:
            intents.expire(connection, [staged.original.object_key])
        raise


def _thread(connection: Connection, line: Line) -> str:
    if line.thread is not None:
        return line.thread
    assert line.thread_external_id is not None
    return history.open_thread(
        connection,
        line.thread_external_id,
        creator=line.sender,
        members=line.participants,
        title=line.thread_title,
        sent_at=line.sent_at,
    )


def _refuse_the_erased(connection: Connection, line: Line) -> None:
    """What a person had deleted must not come back from an archive; what they sent since may."""
    erasure = people.report(connection, line.sender)
    if erasure is not None and line.sent_at <= erasure.requested_at:
        raise Refused("erased", "its sender was erased after it was sent")


def _admit(connection: Connection, thread_id: str, line: Line) -> None:
    """People that the line names, and its sender unless people have been sending here since: he may have left."""
    is_history = threads.lock(connection, thread_id) == 0
    wanted = {*line.participants, *([line.sender] if is_history else [])}
    for user in sorted(wanted.difference(threads.members(connection, thread_id))):
        if not threads.add_member(connection, thread_id, user, history=True):
            raise Refused("thread_full", f"its thread has {threads.MAX_PARTICIPANTS} participants: nobody else fits")
