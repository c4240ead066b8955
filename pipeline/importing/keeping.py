"""The transaction that makes an imported recording a message of its thread."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ingest.errors import Refused
from pipeline.context import Context
from pipeline.importing.lines import Line
from pipeline.importing.staging import Staged, key_of
from storage import arrivals, history, imports, intents, threads
from storage.jobs import Lane


class AlreadyThere(Exception):
    """Another import brought it meanwhile, or an earlier line of this one."""


def keep(context: Context, line: Line, staged: Staged) -> str:
    """The import's key of it. Raises AlreadyThere, Refused (`erased`, `thread_full`), StorageUnavailable, StorageFull.

    Quotas do not apply: they keep one person from filling the store, and here is the operator with years of everybody.
    """
    try:
        with context.database.transaction() as connection:
            return _keep(connection, line, staged)
    except (AlreadyThere, Refused):
        with context.database.transaction() as connection:
            intents.expire(connection, [staged.original.object_key])
        raise


def _keep(connection: Connection, line: Line, staged: Staged) -> str:
    erased = imports.erased(connection, {line.sender, *line.participants}, line.sent_at)
    if line.sender in erased:
        raise Refused("erased", "its sender was erased after it was sent")
    people = [user for user in line.participants if user not in erased]
    thread_id = _thread(connection, line, people)
    key = key_of(thread_id, line, staged.original.sha256)
    assert key is not None
    brought = imports.claim(connection, key, staged.message_id)
    if brought == staged.message_id:
        return key
    if brought is not None:
        raise AlreadyThere
    _admit(connection, thread_id, line, people)
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


def _thread(connection: Connection, line: Line, people: Sequence[str]) -> str:
    if line.thread is not None:
        return line.thread
    assert line.thread_external_id is not None
    return history.open_thread(
        connection,
        line.thread_external_id,
        creator=line.sender,
        members=people,
        title=line.thread_title,
        sent_at=line.sent_at,
    )


def _admit(connection: Connection, thread_id: str, line: Line, people: Sequence[str]) -> None:
    """Those whom the line names, and its sender unless people have been sending here since: he may have left."""
    is_history = threads.lock(connection, thread_id) == 0
    wanted = {*people, *([line.sender] if is_history else [])}
    for user in sorted(wanted.difference(threads.members(connection, thread_id))):
        if not threads.add_member(connection, thread_id, user, history=True):
            raise Refused("thread_full", f"its thread has {threads.MAX_PARTICIPANTS} participants: nobody else fits")
