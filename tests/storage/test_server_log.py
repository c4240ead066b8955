import pytest
from sqlalchemy import text

from storage.database import Database
from storage.server_log import reasons_for_values


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"log_parameter_max_length": "0", "log_min_duration_statement": "1000"}, []),
        ({"log_parameter_max_length": "-1", "log_min_duration_statement": "-1"}, []),
        (
            {"log_parameter_max_length": "-1", "log_min_duration_statement": "1000", "log_statement": "mod"},
            ["log_min_duration_statement = 1000", "log_statement = mod"],
        ),
        ({"log_parameter_max_length": "64", "log_min_duration_sample": "0"}, ["log_min_duration_sample = 0"]),
        (
            {"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "-1"},
            ["log_parameter_max_length_on_error = -1"],
        ),
    ],
)
def test_a_log_that_would_hold_values_is_recognised(
    postgres_url: str, settings: dict[str, str], reasons: list[str]
) -> None:
    database = Database(postgres_url)
    usual = {"log_min_duration_statement": "-1", "log_statement": "none"}
    with database.transaction() as connection:
        for name, value in {**usual, **settings}.items():
            connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
        assert reasons_for_values(connection) == reasons
    database.close()
