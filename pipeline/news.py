"""Events as they are told: to streams and to webhooks, rendered when they are sent."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from pipeline import reprocess_view
from pipeline.render import Renderer
from storage import messages
from storage.events import LoggedEvent


def told(connection: Connection, renderer: Renderer, logged: Sequence[LoggedEvent]) -> list[dict[str, Any] | None]:
    """Each event's data: the message or the run as a GET gives it, with `user_id` in a receipt. None where it is gone
    by now."""
    ids = {event.message_id for event in logged if event.message_id and event.type != "message.deleted"}
    views = {
        message_id: json.loads(renderer.message(message).model_dump_json())
        for message_id, message in messages.told_to_all(connection, sorted(ids)).items()
    }
    for run_id in {event.run_id for event in logged if event.run_id}:
        if (run := reprocess_view.read(connection, run_id)) is not None:
            views[run_id] = run.model_dump(mode="json")
    return [_data(event, views) for event in logged]


def _data(event: LoggedEvent, views: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if event.type == "message.deleted":
        return {"id": event.message_id, "thread_id": event.thread_id}
    if event.run_id is not None:
        return views.get(event.run_id)
    if event.message_id is None:
        return {"thread_id": event.thread_id}
    view = views.get(event.message_id)
    if view is None or event.user_id is None:
        return view
    return {**view, "user_id": event.user_id}
