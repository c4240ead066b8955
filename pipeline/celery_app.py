"""The Celery app: a bell for each queue and lane, one task each, and a task carries nothing but its name.

A lane has its own, for a ring goes to one worker: one that works in the other lane only would hear it in vain.

A ring that is lost costs a few seconds (the reaper rings again), never a message: the job is a row.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.entity import Queue as BrokerQueue
from kombu.exceptions import ChannelError

from storage.jobs import QUEUES, Lane, Queue

_ENOUGH_RINGS = 64
_PUBLISH_TIMEOUT_S = 1
# A router that forgets a connection tells nobody: a worker notices within about twice this, and connects again.
_SILENCE_S = 5


def create_celery(broker_url: str, drain: Callable[[Queue], None] | None = None) -> Celery:
    """Without `drain`, an app that only rings: every step of it gives up after a second."""
    app = Celery("earshot", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=_queues(broker_url),
        task_ignore_result=True,
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_watchful(broker_url) if drain else _impatient(broker_url),
        broker_heartbeat=_SILENCE_S if drain else 0,
        broker_connection_timeout=_PUBLISH_TIMEOUT_S if drain is None else 4,
    )
    if drain is not None:
        for queue in QUEUES:
            for lane in Lane:
                _register(app, queue, lane, drain)
    return app


def bell(queue: Queue, lane: Lane) -> str:
    """Its name at the broker."""
    return queue if lane == Lane.LIVE else f"{queue}-{lane.name.lower()}"


def ring(app: Celery, queue: Queue, lane: Lane) -> bool:
    """Raises what the broker's client raises when it can't be reached within about a second.

    False where enough rings wait unheard: one more would only make the broker grow.
    """
    with app.producer_or_acquire() as producer:
        name = bell(queue, lane)
        if _waiting(producer.channel, name) >= _ENOUGH_RINGS:
            return False
        app.send_task(_task_name(name), queue=name, retry=False, producer=producer)
        return True


def _register(app: Celery, queue: Queue, lane: Lane, drain: Callable[[Queue], None]) -> None:
    def task() -> None:
        drain(queue)

    # Not shared: a process that both rings and works has two apps, and tasks of one must not enter the other.
    app.task(name=_task_name(bell(queue, lane)), shared=False, ignore_result=True)(task)


def _waiting(channel: Any, name: str) -> int:
    try:
        return int(channel.queue_declare(name, passive=True).message_count)
    except ChannelError:
        # Redis forgets an empty queue. (RabbitMQ closes the channel; the next ring opens another.)
        return 0


def _task_name(name: str) -> str:
    return f"earshot.{name}"


def _queues(broker_url: str) -> list[BrokerQueue]:
    arguments = {"x-queue-type": "quorum"} if broker_url.startswith("amqp") else {}
    return [
        BrokerQueue(name, routing_key=name, queue_arguments=arguments)  # type: ignore[no-untyped-call]
        for name in (bell(queue, lane) for queue in QUEUES for lane in Lane)
    ]


def _watchful(broker_url: str) -> dict[str, Any]:
    if broker_url.startswith("amqp"):
        return {"read_timeout": _SILENCE_S, "write_timeout": _SILENCE_S}
    return {"socket_timeout": _SILENCE_S, "socket_keepalive": True, "health_check_interval": _SILENCE_S}


def _impatient(broker_url: str) -> dict[str, Any]:
    if broker_url.startswith("amqp"):
        return {"confirm_publish": True, "connect_timeout": _PUBLISH_TIMEOUT_S, "read_timeout": _PUBLISH_TIMEOUT_S}
    return {
        "socket_timeout": _PUBLISH_TIMEOUT_S,
        "socket_connect_timeout": _PUBLISH_TIMEOUT_S,
        "retry_on_timeout": False,
        "max_retries": 0,
    }
