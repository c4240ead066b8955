"""Which objects the rows refer to."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from storage import reservations
from storage.ids import randomness_of
from storage.tables import intents, transcripts, voices


def known(connection: Connection, owners: Mapping[str, str]) -> set[str]:
    """Those keys of `owners` (key -> message id) that a row refers to or that somebody is about to refer to."""
    pending = connection.execute(select(intents.c.object_key).where(intents.c.object_key.in_(list(owners)))).scalars()
    reserved = reservations.known(connection, {randomness_of(message_id) for message_id in owners.values()})
    soon = {key for key, message_id in owners.items() if randomness_of(message_id) in reserved}
    return referenced(connection, owners) | set(pending) | soon


def referenced(connection: Connection, owners: Mapping[str, str]) -> set[str]:
    """Those keys of `owners` (key -> message id) that a row refers to."""
    message_ids = set(owners.values())
    return set(owners) & (_of_voices(connection, message_ids) | _of_transcripts(connection, message_ids))


def _of_voices(connection: Connection, message_ids: Collection[str]) -> set[str]:
    rows = connection.execute(
        select(voices.c.original_key, voices.c.speech_key, voices.c.renditions).where(
            voices.c.message_id.in_(message_ids)
        )
    )
    return {
        key
        for row in rows
        for key in (row.original_key, row.speech_key, *(each["object_key"] for each in row.renditions))
    }


def _of_transcripts(connection: Connection, message_ids: Collection[str]) -> set[str]:
    query = select(transcripts.c.object_key).where(transcripts.c.message_id.in_(message_ids))
    return set(connection.execute(query).scalars())
