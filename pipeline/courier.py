"""Sends webhooks. Runs beside the reaper's ticks, in threads of its own.

Not a queue of the workers': a delivery waits for a stranger's server rather than for a processor, so it needs threads
instead of slots, and its row with its time is the queue already. Any number of copies share the work.
"""

import json
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.context import Context
from pipeline.news import told
from pipeline.outbound import Outbound, SendFailed
from pipeline.playback import PlaybackSettings, make_playback
from pipeline.render import Renderer
from pipeline.signatures import signed
from storage import events, webhooks
from storage.bell import listening
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.webhooks import Delivery, Outcome, Webhook

log = logging.getLogger(__name__)
_POLL_S = 1.0
_BUSY_S = 0.05
_SENDERS = 16
_EACH = 4


class WebhookSettings(BaseSettings):
    """`allow_loopback`, for development, also lets webhooks be plain http."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_WEBHOOK_", env_ignore_empty=True, extra="ignore")

    allow_loopback: bool = False


class Courier:
    def __init__(self, database: Database, renderer: Renderer, outbound: Outbound) -> None:
        self._database = database
        self._renderer = renderer
        self._outbound = outbound
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._senders = ThreadPoolExecutor(_SENDERS, "webhook")
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Lets what is under way come to its end."""
        self._stop.set()
        self._thread.join()
        self._senders.shutdown()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with listening(self._database, [events.CHANNEL]) as bell:
                    while not self._stop.is_set():
                        is_behind = self._collect()
                        bell.wait(_BUSY_S if self._dispatch() or is_behind else _POLL_S)
            except (StorageUnavailable, StorageFull) as error:
                log.warning("webhooks wait for the database: %s", error)
            except Exception:
                log.exception("webhooks can't be sent")
            self._stop.wait(_POLL_S)

    def _collect(self) -> bool:
        """True when there is more to collect."""
        with self._database.transaction() as connection:
            last = events.arrange(connection).last
        with self._database.transaction() as connection:
            return webhooks.fan_out(connection, last)

    def _dispatch(self) -> bool:
        """Hands due deliveries to senders; True when there may be more."""
        with self._lock:
            free = _SENDERS - self._in_flight.total()
            busy = [webhook_id for webhook_id, count in self._in_flight.items() if count >= _EACH]
        if free <= 0:
            return True
        with self._database.transaction() as connection:
            claimed = webhooks.claim(connection, limit=free, each=_EACH, busy=busy)
        for delivery in claimed:
            with self._lock:
                self._in_flight[delivery.webhook_id] += 1
            self._senders.submit(self._deliver, delivery)
        return bool(claimed)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._try(delivery)
        except (StorageUnavailable, StorageFull) as error:
            log.warning("delivery %s waits for the database: %s", delivery.id, error)
        except Exception:
            log.exception("delivery %s failed in a way nobody thought of", delivery.id)
            self._give_up_for_now(delivery)
        finally:
            with self._lock:
                self._in_flight[delivery.webhook_id] -= 1
                self._in_flight += Counter()

    def _try(self, delivery: Delivery) -> None:
        with self._database.transaction() as connection:
            webhook = webhooks.get(connection, delivery.webhook_id)
            (data,) = told(connection, self._renderer, [delivery.event])
        if webhook is None:
            return
        if data is None:
            outcome = Outcome("skipped", error_code="not_found", error_message="the message was deleted")
        else:
            outcome = self._send(webhook, delivery, data)
        with self._database.transaction() as connection:
            webhooks.finish(connection, delivery, outcome)
            if outcome.response_status == 410:
                webhooks.disable(connection, webhook.id, "its receiver answered 410 Gone")

    def _give_up_for_now(self, delivery: Delivery) -> None:
        """A defect of ours must not have it tried every minute for ever."""
        outcome = Outcome(_state_after(delivery), None, "internal_error", "it could not be made: see the log")
        try:
            with self._database.transaction() as connection:
                webhooks.finish(connection, delivery, outcome)
        except (StorageUnavailable, StorageFull) as error:
            log.warning("delivery %s waits for the database: %s", delivery.id, error)

    def _send(self, webhook: Webhook, delivery: Delivery, data: object) -> Outcome:
        happened_at = delivery.event.created_at.isoformat().replace("+00:00", "Z")
        content = {"type": delivery.event.type, "timestamp": happened_at, "data": data}
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Earshot-Webhooks/1",
            **signed(webhook.secrets, delivery.id, int(time.time()), body),
        }
        try:
            answer = self._outbound.post(webhook.url, body, headers)
        except SendFailed as failure:
            return Outcome(_state_after(delivery), None, failure.code, str(failure))
        if 200 <= answer.status < 300:
            return Outcome("delivered", answer.status)
        state = "failed" if answer.status == 410 else _state_after(delivery)
        message = f"its receiver answered {answer.status}"
        return Outcome(state, answer.status, "refused", message, answer.retry_after_s)


def make_courier(context: Context) -> Courier:
    renderer = Renderer(make_playback(PlaybackSettings(), context.store))
    return Courier(context.database, renderer, Outbound(allow_loopback=WebhookSettings().allow_loopback))


def _state_after(delivery: Delivery) -> str:
    return "failed" if webhooks.retry_after_s(delivery.attempts) is None else "pending"
