"""One running product for the fault suite, and what of the suite is run.

`make test-faults N=100 SEED=7` runs all of it with that many messages for each kind of fault, on Redis, and on RabbitMQ
where the broker can make a difference; `BROKER=rabbitmq` runs everything on that. Without N, inside the whole test
suite, a selection by SEED runs with few messages and short outages; who names a file here gets all of it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import astuple

import pytest

from tests.faults.checker import COLUMNS, Table
from tests.faults.scale import BROKER, FULL, SEED
from tests.faults.world import World
from tests.stack import RabbitMQ

# Of the selection inside the whole suite, by the tests' own estimates.
_BUDGET_S = 45
_tables: dict[str, Table] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if FULL or any("faults" in argument for argument in config.args):
        return
    faults = [item for item in items if item.get_closest_marker("fault")]
    random.Random(SEED).shuffle(faults)
    faults.sort(key=lambda item: not any(mark.kwargs.get("always") for mark in item.iter_markers("fault")))
    left, dropped = _BUDGET_S, []
    for item in faults:
        estimates = [mark.args[0] for mark in item.iter_markers("fault")]
        if None in estimates or max(estimates) > left:
            dropped.append(item)
        else:
            left -= max(estimates)
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _tables:
        terminalreporter.section("what was promised, and what is there")
        terminalreporter.line(f"{'':56}" + "".join(f"{name:>12}" for name in COLUMNS))
    for name, table in _tables.items():
        terminalreporter.line(f"{name:56.56}" + "".join(f"{value:12}" for value in astuple(table)))


@pytest.fixture(scope="session")
def on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("redis")) as world:
        yield world


@pytest.fixture(scope="session")
def on_rabbitmq(tmp_path_factory: pytest.TempPathFactory, rabbitmq: RabbitMQ) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("rabbitmq"), rabbitmq=rabbitmq) as world:
        yield world


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The running product on the broker that the test names, its network in order again afterwards."""
    world: World = request.getfixturevalue(f"on_{getattr(request, 'param', BROKER)}")
    yield world
    world.mend()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[Table], Table]:
    """Adds a row to the table at the end of the run."""

    def add(table: Table) -> Table:
        _tables[request.node.name] = table
        return table

    return add
