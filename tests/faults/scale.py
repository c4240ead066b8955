"""How much of the fault suite is run: all of it when N says with how many messages, otherwise little of it."""

import os

import pytest

FULL = "N" in os.environ
MESSAGES = int(os.environ.get("N", "6"))
# Of the tests that don't choose one.
BROKER = os.environ.get("BROKER", "redis")
SEED = int(os.environ.get("SEED", "1"))
OUTAGE_S = 30.0 if FULL else 4.0
# Of a fault that is no outage.
SPELL_S = 10.0 if FULL else 4.0

# For tests to which it makes a difference; it takes a while until RabbitMQ runs.
both_brokers = pytest.mark.parametrize(
    "world",
    [
        pytest.param("redis", marks=pytest.mark.fault(8)),
        pytest.param("rabbitmq", marks=pytest.mark.fault(25)),
    ],
    indirect=True,
)


def share(parts: int) -> int:
    """The messages of one of several faults of a kind."""
    return max(3, MESSAGES // parts)
