"""The Celery app: two queues, one task each, and a task carries nothing but its name.

A ring that is lost costs a few seconds (the reaper rings again), never a message: the job is a row.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.entity import Queue as BrokerQueue

from storage.jobs import Queue

QUEUES: tuple[Queue, ...] = ("media", "speech")
# A ring that waited this long is stale: whoever would hear it has claimed the job, or the reaper has rung again.
_RING_EXPIRES_S = 60
_PUBLISH_TIMEOUT_S = 1


def create_celery(broker_url: str, drain: Callable[[Queue], None] | None = None) -> Celery:
    """Without `drain`, an app that only rings: every step of it gives up after a second."""
    app = Celery("earshot", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[
            BrokerQueue(name, routing_key=name, queue_arguments=_queue_arguments(broker_url)) for name in QUEUES
        ],
        task_ignore_result=True,
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={} if drain else _impatient(broker_url),
        broker_connection_timeout=_PUBLISH_TIMEOUT_S if drain is None else 4,
    )
    for queue in QUEUES:
        _register(app, queue, drain)
    return app


def ring(app: Celery, queue: str) -> None:
    """Raises what the broker's client raises when it can't be reached within about a second."""
    app.send_task(_task_name(queue), queue=queue, expires=_RING_EXPIRES_S, retry=False)


def _register(app: Celery, queue: Queue, drain: Callable[[Queue], None] | None) -> None:
    def task() -> None:
        if drain is not None:
            drain(queue)

    app.task(name=_task_name(queue), ignore_result=True)(task)


def _task_name(queue: str) -> str:
    return f"earshot.{queue}"


def _queue_arguments(broker_url: str) -> dict[str, Any]:
    return {"x-queue-type": "quorum"} if broker_url.startswith("amqp") else {}


def _impatient(broker_url: str) -> dict[str, Any]:
    if broker_url.startswith("amqp"):
        return {"confirm_publish": True, "connect_timeout": _PUBLISH_TIMEOUT_S, "read_timeout": _PUBLISH_TIMEOUT_S}
    return {
        "socket_timeout": _PUBLISH_TIMEOUT_S,
        "socket_connect_timeout": _PUBLISH_TIMEOUT_S,
        "retry_on_timeout": False,
        "max_retries": 0,
    }
