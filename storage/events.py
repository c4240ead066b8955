"""The event log: written in the transaction of the change it tells of, holding ids only."""

from sqlalchemy import Connection

from storage.tables import events


def add(
    connection: Connection,
    event_type: str,
    *,
    thread_id: str,
    message_id: str | None = None,
    user_id: str | None = None,
) -> None:
    connection.execute(
        events.insert().values(type=event_type, thread_id=thread_id, message_id=message_id, user_id=user_id)
    )
