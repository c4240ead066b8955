"""The whole product, running, and people with browsers in front of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from playwright.sync_api import Browser

from pipeline.embedded import StackInfo
from tests.e2e.browser import Visit, running_chromium
from tests.e2e.people import Person
from tests.stack import running_product

Visiting = Callable[..., Visit]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    # Other web applications may show the bubbles.
    with running_product(tmp_path_factory.mktemp("e2e"), EARSHOT_CORS_ORIGINS="*") as info:
        yield info


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
    """Opens the page for a person. A test whose page complains or asks somebody else for anything fails."""
    with ExitStack() as closed:
        visits: list[Visit] = []

        def open_page(person: Person, url: str = stack.url, **options: object) -> Visit:
            opened = closed.enter_context(closing(Visit(chromium, url, person, **options)))
            visits.append(opened)
            return opened

        yield open_page
        assert [complaint for each in visits for complaint in each.complaints] == []
        ours = (stack.url, *(each.url for each in visits), "blob:")
        assert [url for each in visits for url in each.asked if not url.startswith(ours)] == []
