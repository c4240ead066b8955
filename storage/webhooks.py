"""Webhooks, and their deliveries: made from the event log, holding ids only, tried until they succeed or time is up."""

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select, true, update

from storage import events
from storage.events import LoggedEvent
from storage.ids import new_id
from storage.tables import NOW, deliveries, webhooks

# After each attempt the wait for the next: ten attempts within three days.
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
RETRY_AFTER_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
# How long an old secret still signs, so that a receiver can change over.
SECRET_OVERLAP = timedelta(hours=24)
LOG_KEPT = timedelta(days=30)
_MOST_SECRETS = 5
_STRIDE = 500
# Longer than an attempt may take: whoever holds a delivery for that long is dead.
_LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Webhook:
    """`secrets` sign now, the newest first."""

    id: str
    url: str
    events: list[str]
    secrets: list[str]
    enabled: bool
    disabled_reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """`attempts` counts the one that is being made; `due_at`, when another is made if this one is not heard of again,
    fences it."""

    id: str
    webhook_id: str
    event: LoggedEvent
    attempts: int
    due_at: datetime


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to; `state` is delivered, failed, skipped, or pending when it is to be tried again.
    `not_before_s` is how long its receiver asked to be left alone."""

    state: str
    response_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    not_before_s: float = 0


def create(connection: Connection, url: str, types: Sequence[str]) -> str:
    """It hears what happens from now on."""
    webhook_id = new_id("whk")
    connection.execute(
        webhooks.insert().values(
            id=webhook_id,
            url=url,
            events=list(types),
            secrets=[{"secret": _new_secret(), "until": None}],
            position=events.arrange(connection).last,
        )
    )
    return webhook_id


def get(connection: Connection, webhook_id: str) -> Webhook | None:
    row = connection.execute(select(webhooks).where(webhooks.c.id == webhook_id)).first()
    return None if row is None else _webhook(row)


def page(connection: Connection, *, limit: int, after: str | None) -> list[Webhook]:
    """Newest first."""
    query = select(webhooks).order_by(webhooks.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(webhooks.c.id < after)
    return [_webhook(row) for row in connection.execute(query)]


def change(connection: Connection, webhook_id: str, values: Mapping[str, Any]) -> None:
    """`url`, `events`, `enabled`. What happened while it was disabled is not made up for."""
    if values.get("enabled"):
        values = {**values, "disabled_reason": None}
        _skip_to_now(connection, webhook_id)
    if values:
        connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**values))


def disable(connection: Connection, webhook_id: str, reason: str) -> None:
    connection.execute(
        update(webhooks).where(webhooks.c.id == webhook_id).values(enabled=False, disabled_reason=reason)
    )


def remove(connection: Connection, webhook_id: str) -> bool:
    return connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id)).rowcount == 1


def add_secret(connection: Connection, webhook_id: str) -> None:
    """The new one signs first; those before it sign along for SECRET_OVERLAP."""
    stored = connection.execute(
        select(webhooks.c.secrets).where(webhooks.c.id == webhook_id).with_for_update()
    ).scalar_one()
    until = (datetime.now(UTC) + SECRET_OVERLAP).isoformat()
    kept = [{"secret": each["secret"], "until": each["until"] or until} for each in stored if _signs(each)]
    fresh = {"secret": _new_secret(), "until": None}
    connection.execute(
        update(webhooks).where(webhooks.c.id == webhook_id).values(secrets=[fresh, *kept][:_MOST_SECRETS])
    )


def fan_out(connection: Connection, last: int) -> bool:
    """Makes deliveries of events up to position `last`; another sender's webhooks are left to him. True when there are
    more."""
    is_behind = False
    behind = (
        select(webhooks.c.id, webhooks.c.events, webhooks.c.position)
        .where(webhooks.c.enabled, webhooks.c.position < last)
        .with_for_update(skip_locked=True)
    )
    for webhook in connection.execute(behind).all():
        until = min(last, webhook.position + _STRIDE)
        found = events.of_types(connection, webhook.events, webhook.position, until)
        if found:
            connection.execute(deliveries.insert(), [_row(webhook.id, event) for event in found])
        connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(position=until))
        is_behind |= until < last
    return is_behind


def claim(connection: Connection, *, limit: int, each: int, busy: Collection[str]) -> list[Delivery]:
    """Due deliveries, at most `each` of one webhook and none of `busy`: a slow receiver holds up nobody else."""
    due = (
        select(deliveries.c.id)
        .where(
            deliveries.c.webhook_id == webhooks.c.id,
            deliveries.c.state == "pending",
            deliveries.c.due_at <= func.clock_timestamp(),
        )
        .order_by(deliveries.c.due_at)
        .limit(each)
        .with_for_update(skip_locked=True)
        .lateral()
    )
    chosen = (
        select(due.c.id)
        .select_from(webhooks.join(due, true()))
        .where(webhooks.c.enabled, webhooks.c.id.not_in(list(busy)))
        .limit(limit)
    )
    rows = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(connection.execute(chosen).scalars().all()))
        .values(attempts=deliveries.c.attempts + 1, due_at=func.clock_timestamp() + _LEASE, updated_at=NOW)
        .returning(*deliveries.c)
    )
    return sorted((_delivery(row) for row in rows), key=lambda delivery: delivery.event.position)


def finish(connection: Connection, delivery: Delivery, outcome: Outcome) -> None:
    """Writes down what the attempt came to, unless another one has begun, or was asked for, since."""
    wait_s = max(retry_after_s(delivery.attempts) or 0, min(outcome.not_before_s, RETRY_AFTER_S[-1]))
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery.id,
            deliveries.c.state == "pending",
            deliveries.c.due_at == delivery.due_at,
        )
        .values(
            state=outcome.state,
            response_status=outcome.response_status,
            error_code=outcome.error_code,
            error_message=outcome.error_message,
            due_at=func.clock_timestamp() + timedelta(seconds=wait_s),
            updated_at=NOW,
        )
    )


def retry_after_s(attempts: int) -> float | None:
    """None when that was the last one. A little uneven, so that not all come back at once."""
    if attempts > len(RETRY_AFTER_S):
        return None
    return RETRY_AFTER_S[attempts - 1] * (0.95 + secrets.randbelow(100) / 1000)


def log(connection: Connection, webhook_id: str, *, limit: int, after: str | None) -> list[dict[str, Any]]:
    """A webhook's deliveries as plain mappings, newest first."""
    query = select(deliveries).where(deliveries.c.webhook_id == webhook_id).order_by(deliveries.c.id.desc())
    if after is not None:
        query = query.where(deliveries.c.id < after)
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


def logged(connection: Connection, webhook_id: str, delivery_id: str) -> dict[str, Any] | None:
    query = select(deliveries).where(deliveries.c.webhook_id == webhook_id, deliveries.c.id == delivery_id)
    row = connection.execute(query).first()
    return None if row is None else dict(row._mapping)


def replay(connection: Connection, delivery_id: str) -> None:
    """Sends it once more, under the same id, with a schedule from the start."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(state="pending", attempts=0, due_at=NOW, updated_at=NOW)
    )
    connection.execute(select(func.pg_notify(events.CHANNEL, "")))


def trim(connection: Connection) -> int:
    """Forgets finished deliveries after LOG_KEPT; returns how many."""
    old = deliveries.c.updated_at < func.clock_timestamp() - LOG_KEPT
    return connection.execute(delete(deliveries).where(old)).rowcount


def _skip_to_now(connection: Connection, webhook_id: str) -> None:
    last = events.arrange(connection).last
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id, ~webhooks.c.enabled).values(position=last))


def _row(webhook_id: str, event: LoggedEvent) -> dict[str, Any]:
    return {
        "id": new_id("dlv"),
        "webhook_id": webhook_id,
        "position": event.position,
        "type": event.type,
        "thread_id": event.thread_id,
        "message_id": event.message_id,
        "user_id": event.user_id,
        "run_id": event.run_id,
        "happened_at": event.created_at,
    }


def _delivery(row: Any) -> Delivery:
    event = LoggedEvent(row.position, row.type, row.thread_id, row.message_id, row.user_id, row.run_id, row.happened_at)
    return Delivery(row.id, row.webhook_id, event, row.attempts, row.due_at)


def _webhook(row: Any) -> Webhook:
    signing = [each["secret"] for each in row.secrets if _signs(each)]
    return Webhook(row.id, row.url, row.events, signing, row.enabled, row.disabled_reason, row.created_at)


def _signs(stored: Mapping[str, str | None]) -> bool:
    until = stored["until"]
    return until is None or datetime.fromisoformat(until) > datetime.now(UTC)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
