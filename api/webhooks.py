"""For the host application and operators: being told of events by HTTP, as https://www.standardwebhooks.com has it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from api import paging
from api.answers import answers, json_answer, nothing
from api.auth import AnyCaller, Caller
from api.errors import Problem, not_found
from api.once import Key, Made, once
from api.services import Here
from pipeline.addresses import AddressRefused, check_url
from pipeline.courier import WebhookSettings
from pipeline.render import ErrorView, Moment, error_view
from storage import webhooks
from storage.events import TYPES, EventType
from storage.ids import is_id

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_OF_MESSAGES: list[EventType] = [each for each in TYPES if each != "reprocess.progress"]


class NewWebhook(BaseModel):
    """Without `events`, all that tell of messages; `reprocess.progress`, every few seconds of a run, is to be named."""

    url: str = Field(min_length=1, max_length=2000)
    events: list[EventType] = Field(default=_OF_MESSAGES, min_length=1, max_length=len(TYPES))


class WebhookChange(BaseModel):
    url: str | None = Field(None, min_length=1, max_length=2000)
    events: list[EventType] | None = Field(None, min_length=1, max_length=len(TYPES))
    enabled: bool | None = None


class WebhookView(BaseModel):
    id: str
    url: str
    events: list[str]
    enabled: bool
    disabled_reason: str | None
    created_at: Moment


class NewWebhookView(WebhookView):
    """The secret that signs, `whsec_…`: it is shown this once."""

    secret: str


class DeliveryView(BaseModel):
    """`id` is the `webhook-id` of every attempt."""

    id: str
    type: str
    thread_id: str | None
    message_id: str | None
    run_id: str | None
    state: Literal["pending", "delivered", "failed", "skipped"]
    attempts: int
    next_attempt_at: Moment | None
    response_status: int | None
    error: ErrorView | None
    created_at: Moment
    updated_at: Moment


async def _operator(caller: AnyCaller) -> Caller:
    if not (caller.is_service or caller.is_admin):
        raise Problem("forbidden", "this needs a token with the scope service or admin")
    return caller


Operator = Annotated[Caller, Depends(_operator)]


@router.post(
    "",
    status_code=201,
    response_model=NewWebhookView,
    responses=answers("idempotency_conflict", "idempotency_mismatch", "too_large"),
)
def create_webhook(body: NewWebhook, request: Request, here: Here, caller: Operator, key: Key = None) -> Response:
    """It hears of all threads, from now on. Only public https addresses are called."""
    url = _checked(body.url)
    with here.database.transaction() as connection:
        made = once(
            connection,
            request,
            caller.subject,
            key,
            body,
            lambda: Made(201, webhooks.create(connection, url, list(dict.fromkeys(body.events)))),
        )
        webhook = webhooks.get(connection, made.resource_id)
    if webhook is None:
        raise not_found("webhook")
    headers = {"Location": f"/v1/webhooks/{webhook.id}", **made.headers}
    return json_answer(NewWebhookView(**_fields(webhook), secret=webhook.secrets[0]), made.status, headers)


@router.get("", response_model=paging.Page[WebhookView], responses=answers())
def list_webhooks(here: Here, _: Operator, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """Newest first."""
    after = paging.decode_id(cursor, "whk")
    with here.database.transaction() as connection:
        rows = webhooks.page(connection, limit=limit + 1, after=after)
    found, last = paging.cut(rows, limit)
    views = [WebhookView(**_fields(webhook)) for webhook in found]
    return json_answer(paging.Page[WebhookView](items=views, next_cursor=last and paging.encode(last.id)))


@router.get("/{webhook_id}", response_model=WebhookView, responses=answers())
def get_webhook(webhook_id: str, here: Here, _: Operator) -> Response:
    return json_answer(WebhookView(**_fields(_found(here, webhook_id))))


@router.patch("/{webhook_id}", response_model=WebhookView, responses=answers("too_large"))
def change_webhook(webhook_id: str, body: WebhookChange, here: Here, _: Operator) -> Response:
    """What is left out or null stays. Enabled again, it hears what happens from then on."""
    _found(here, webhook_id)
    values: dict[str, Any] = body.model_dump(exclude_none=True)
    if body.url is not None:
        values["url"] = _checked(body.url)
    with here.database.transaction() as connection:
        webhooks.change(connection, webhook_id, values)
    return json_answer(WebhookView(**_fields(_found(here, webhook_id))))


@router.delete("/{webhook_id}", status_code=204, responses=answers())
def delete_webhook(webhook_id: str, here: Here, _: Operator) -> Response:
    _found(here, webhook_id)
    with here.database.transaction() as connection:
        webhooks.remove(connection, webhook_id)
    return nothing()


@router.post(
    "/{webhook_id}/secrets",
    status_code=201,
    response_model=NewWebhookView,
    responses=answers("idempotency_conflict", "idempotency_mismatch"),
)
def renew_secret(webhook_id: str, request: Request, here: Here, caller: Operator, key: Key = None) -> Response:
    """Signs with a new secret; the old one signs along for 24 hours."""
    _found(here, webhook_id)
    with here.database.transaction() as connection:
        made = once(connection, request, caller.subject, key, None, lambda: _renewed(connection, webhook_id))
    webhook = _found(here, webhook_id)
    return json_answer(NewWebhookView(**_fields(webhook), secret=webhook.secrets[0]), made.status, made.headers)


@router.get("/{webhook_id}/deliveries", response_model=paging.Page[DeliveryView], responses=answers())
def list_deliveries(
    webhook_id: str, here: Here, _: Operator, limit: paging.Limit = 50, cursor: paging.Cursor = None
) -> Response:
    """Newest first, kept for 30 days."""
    after = paging.decode_id(cursor, "dlv")
    _found(here, webhook_id)
    with here.database.transaction() as connection:
        rows = webhooks.log(connection, webhook_id, limit=limit + 1, after=after)
    found, last = paging.cut(rows, limit)
    views = [_delivery_view(row) for row in found]
    return json_answer(paging.Page[DeliveryView](items=views, next_cursor=last and paging.encode(last["id"])))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=DeliveryView,
    responses=answers("webhook_disabled"),
)
def replay(webhook_id: str, delivery_id: str, here: Here, _: Operator) -> Response:
    """Sends it once more, with what its message is now."""
    webhook = _found(here, webhook_id)
    with here.database.transaction() as connection:
        if not is_id("dlv", delivery_id) or webhooks.logged(connection, webhook_id, delivery_id) is None:
            raise not_found("delivery")
        if not webhook.enabled:
            raise Problem("webhook_disabled", "enable the webhook first")
        webhooks.replay(connection, delivery_id)
        row = webhooks.logged(connection, webhook_id, delivery_id)
    return json_answer(_delivery_view(row or {}), 202)


def _renewed(connection: Connection, webhook_id: str) -> Made:
    webhooks.add_secret(connection, webhook_id)
    return Made(201, webhook_id)


def _checked(url: str) -> str:
    try:
        return check_url(url, allow_loopback=WebhookSettings().allow_loopback)
    except AddressRefused as refusal:
        raise Problem("invalid_request", f"body.url: {refusal}") from refusal


def _found(here: Here, webhook_id: str) -> webhooks.Webhook:
    with here.database.transaction() as connection:
        webhook = webhooks.get(connection, webhook_id) if is_id("whk", webhook_id) else None
    if webhook is None:
        raise not_found("webhook")
    return webhook


def _fields(webhook: webhooks.Webhook) -> dict[str, Any]:
    return {name: getattr(webhook, name) for name in WebhookView.model_fields}


def _delivery_view(row: dict[str, Any]) -> DeliveryView:
    return DeliveryView.model_validate(
        {
            **row,
            "next_attempt_at": row["due_at"] if row["state"] == "pending" else None,
            "error": error_view(row["error_code"], row["error_message"]),
        }
    )
