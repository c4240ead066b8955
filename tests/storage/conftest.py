import pytest

from storage import threads
from storage.database import Database


@pytest.fixture
def thread(database: Database) -> str:
    with database.transaction() as connection:
        return threads.create(connection, creator="alice", members=["bob"])[0]
