"""One result per caller, path and key."""

import pytest
from sqlalchemy import text

from storage import idempotency
from storage.database import Database
from storage.idempotency import Claim, Finished, InProgress


def begin(database: Database, user: str = "alice", path: str = "/v1/threads", key: str = "k") -> Claim | Finished:
    with database.transaction() as connection:
        return idempotency.begin(connection, user, path, key)


def claimed(database: Database) -> Claim:
    claim = begin(database)
    assert isinstance(claim, Claim)
    return claim


def complete(database: Database, claim: Claim) -> None:
    with database.transaction() as connection:
        idempotency.complete(connection, claim, fingerprint="f", status=201, resource_id="thr_1")


def test_the_second_request_gets_the_first_ones_result(database: Database) -> None:
    complete(database, claimed(database))
    assert begin(database) == Finished("f", 201, "thr_1")


def test_keys_are_the_callers_own_and_hold_for_one_path(database: Database) -> None:
    complete(database, claimed(database))
    assert isinstance(begin(database, user="bob"), Claim)
    assert isinstance(begin(database, path="/v1/other"), Claim)


def test_a_running_request_keeps_others_out(database: Database) -> None:
    claimed(database)
    with pytest.raises(InProgress):
        begin(database)


def test_a_refused_request_lets_go_of_its_key(database: Database) -> None:
    claim = claimed(database)
    with database.transaction() as connection:
        idempotency.release(connection, claim)
    assert isinstance(begin(database), Claim)


def test_a_dead_requests_key_is_taken_over_and_its_late_result_is_refused(database: Database) -> None:
    late = claimed(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE idempotency_keys SET locked_until = clock_timestamp() - interval '1 s'"))
    complete(database, claimed(database))
    with pytest.raises(InProgress):
        complete(database, late)


def test_a_key_is_forgotten_after_seven_days(database: Database) -> None:
    complete(database, claimed(database))
    with database.transaction() as connection:
        connection.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '8 days'"))
    assert isinstance(begin(database), Claim)
