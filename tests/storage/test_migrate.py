from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from storage.database import Database
from storage.migrate import current, head, migrate
from storage.tables import metadata


def test_migrations_make_exactly_the_tables_that_queries_are_written_against(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    assert migrate(database) == head()
    assert migrate(database) == head()
    with database.transaction() as connection:
        assert current(connection) == head()
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()
