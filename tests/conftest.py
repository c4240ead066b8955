"""Servers and stores that every room's tests share. Real ones, on loopback, started once when first asked for."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.migrate import migrate
from storage.objects import ObjectStore
from tests import stack
from tests.loopback import refuse_the_network


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        refuse_the_network(patch)
        yield


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[stack.Postgres]:
    with stack.running_postgres(servers_folder) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: stack.Postgres) -> str:
    """The name of a database with all tables and no rows, to be copied."""
    name = postgres.create_database()
    database = Database(postgres.url(name))
    migrate(database)
    database.close()
    return name


@pytest.fixture(scope="session")
def fresh_database(postgres: stack.Postgres, migrated_template: str) -> Callable[[], str]:
    """Each call makes a migrated database of its own and returns its URL, for fixtures of any scope."""
    return lambda: postgres.url(postgres.create_database(migrated_template))


@pytest.fixture(scope="session")
def postgres_url(fresh_database: Callable[[], str]) -> str:
    """A migrated database shared by the whole test run."""
    return fresh_database()


@pytest.fixture
def database_url(postgres: stack.Postgres, migrated_template: str) -> Iterator[str]:
    """A migrated database for this test alone."""
    name = postgres.create_database(migrated_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def empty_database_url(postgres: stack.Postgres) -> Iterator[str]:
    """A database without tables for this test alone."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def redis_url(servers_folder: Path) -> Iterator[str]:
    with stack.running_redis(servers_folder) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq(servers_folder: Path) -> Iterator[stack.RabbitMQ]:
    with stack.running_rabbitmq(servers_folder) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: stack.RabbitMQ) -> str:
    return rabbitmq.url


@pytest.fixture(scope="session")
def s3(servers_folder: Path) -> Iterator[stack.S3]:
    with stack.running_s3(servers_folder) as server:
        yield server


@pytest.fixture
def object_store(s3: stack.S3) -> ObjectStore:
    """An empty bucket for this test alone."""
    store = ObjectStore(stack.storage_settings(s3, f"test-{secrets.token_hex(6)}"))
    store.ensure_bucket()
    return store
