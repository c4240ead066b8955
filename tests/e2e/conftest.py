"""The whole product, running, and people with browsers in front of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from playwright.sync_api import Browser

from pipeline.embedded import PartFailed, Stack, StackInfo
from tests.e2e.browser import Visit, running_chromium
from tests.e2e.people import Person
from tests.stack import missing

Visiting = Callable[..., Visit]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
    # Other web applications may show the bubbles.
    clean["EARSHOT_CORS_ORIGINS"] = "*"
    embedded = Stack(tmp_path_factory.mktemp("e2e"), port=0, model="micro", environment=clean)
    try:
        embedded.__enter__()
    except PartFailed as error:
        missing(f"the embedded stack: {error}")
    try:
        yield embedded.info
    finally:
        embedded.__exit__(None, None, None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the whole run: its event loop would stand in the way of tests that start one."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def alice(stack: StackInfo) -> Iterator[Person]:
    with Person(stack, "alice") as person:
        yield person


@pytest.fixture
def bob(stack: StackInfo) -> Iterator[Person]:
    with Person(stack, "bob") as person:
        yield person


@pytest.fixture
def visit(chromium: Browser, stack: StackInfo) -> Iterator[Visiting]:
    """Opens the page for a person. A page that complains, a violated policy included, fails its test."""
    with ExitStack() as closed:
        visits: list[Visit] = []

        def open_page(person: Person, **options: object) -> Visit:
            opened = closed.enter_context(closing(Visit(chromium, stack.url, person, **options)))
            visits.append(opened)
            return opened

        yield open_page
        assert [complaint for each in visits for complaint in each.complaints] == []
