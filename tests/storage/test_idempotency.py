"""One result per caller, path and key."""

import pytest
from sqlalchemy import text

from storage import idempotency
from storage.database import Database
from storage.idempotency import Claim, Finished, InProgress, Once


def claim(user: str = "alice", path: str = "/v1/threads", key: str = "k") -> Claim:
    return Claim(user, path, key)


def begin(database: Database, claim: Claim) -> Finished | None:
    with database.transaction() as connection:
        return idempotency.begin(connection, claim)


def begun(database: Database) -> Claim:
    mine = claim()
    assert begin(database, mine) is None
    return mine


def complete(database: Database, claim: Claim) -> None:
    with database.transaction() as connection:
        Once(claim, "f").complete(connection, "thr_1")


def run_out(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE idempotency_keys SET locked_until = clock_timestamp() - interval '1 s'"))


def test_the_second_request_gets_the_first_ones_result(database: Database) -> None:
    complete(database, begun(database))
    assert begin(database, claim()) == Finished("f", 201, "thr_1")


def test_keys_are_the_callers_own_and_hold_for_one_path(database: Database) -> None:
    complete(database, begun(database))
    assert begin(database, claim(user="bob")) is None
    assert begin(database, claim(path="/v1/other")) is None


def test_a_running_request_keeps_others_out_and_not_itself(database: Database) -> None:
    mine = begun(database)
    with pytest.raises(InProgress):
        begin(database, claim())
    assert begin(database, mine) is None


def test_a_sign_of_life_keeps_the_key(database: Database) -> None:
    mine = begun(database)
    run_out(database)
    with database.writing() as connection:
        assert idempotency.lock(mine).on(connection)
        assert not idempotency.lock(claim()).on(connection)
    complete(database, mine)
    with database.writing() as connection:
        assert not idempotency.lock(mine).on(connection)


def test_a_refused_request_lets_go_of_its_key(database: Database) -> None:
    mine = begun(database)
    with database.writing() as connection:
        assert not idempotency.release(claim()).on(connection)
        assert idempotency.release(mine).on(connection)
    assert begin(database, claim()) is None


def test_what_is_done_is_not_let_go_of(database: Database) -> None:
    mine = begun(database)
    complete(database, mine)
    with database.writing() as connection:
        assert not idempotency.release(mine).on(connection)
    assert begin(database, claim()) == Finished("f", 201, "thr_1")


def test_a_dead_requests_key_is_taken_over_and_its_late_result_is_refused(database: Database) -> None:
    late = begun(database)
    run_out(database)
    complete(database, begun(database))
    with pytest.raises(InProgress):
        complete(database, late)


def test_a_key_is_forgotten_after_seven_days(database: Database) -> None:
    complete(database, begun(database))
    with database.transaction() as connection:
        connection.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '8 days'"))
    assert begin(database, claim()) is None
