"""What the database's own log tells of people.

https://www.postgresql.org/docs/current/runtime-config-logging.html: a statement that is logged because it is slow, or
sampled, is logged with its values, unless their length is limited to 0. Only a superuser can set that.
"""

from sqlalchemy import Connection, text

_VALUES = text("""
    SELECT name || ' = ' || setting FROM pg_settings
    WHERE CASE name
        WHEN 'log_parameter_max_length_on_error' THEN setting <> '0'
        ELSE current_setting('log_parameter_max_length') <> '0' AND CASE name
            WHEN 'log_min_duration_statement' THEN setting <> '-1'
            WHEN 'log_min_duration_sample' THEN setting <> '-1'
            WHEN 'log_transaction_sample_rate' THEN setting <> '0'
            WHEN 'log_statement' THEN setting IN ('mod', 'all')
            ELSE false
        END
    END
    ORDER BY name
""")


def reasons_for_values(connection: Connection) -> list[str]:
    """The settings for which values of statements come to be in the log; empty where none do."""
    return list(connection.execute(_VALUES).scalars())
