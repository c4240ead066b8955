"""No object without a row for long, no row without its object."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from storage import intents, references
from storage.database import Database
from storage.errors import ObjectSwept, StorageUnavailable
from storage.ids import new_id


def test_a_key_given_up_is_swept_and_can_not_be_referred_to_any_more(database: Database) -> None:
    with database.transaction() as connection:
        intents.declare(connection, "msg_1", ["a", "b"], ttl_s=60)
        assert intents.doom(connection) == 0
        intents.expire(connection, ["a"])
    with database.transaction() as connection:
        assert intents.doom(connection) == 1
        assert intents.doomed(connection) == {"a": "msg_1"}
        assert references.referenced(connection, {"a": "msg_1"}) == set()
        intents.forget(connection, ["a"])
    with pytest.raises(ObjectSwept), database.transaction() as connection:
        intents.settle(connection, ["a", "b"])
    with database.transaction() as connection:
        intents.settle(connection, ["b"])


def test_two_reapers_share_the_expired_keys(database: Database) -> None:
    with database.transaction() as connection:
        intents.declare(connection, "msg_1", ["a"], ttl_s=-1)
        intents.doom(connection)
    with database.transaction() as one, database.transaction() as other:
        assert intents.doomed(one) == {"a": "msg_1"}
        assert intents.doomed(other) == {}


def test_what_a_sweep_has_begun_to_delete_nobody_can_refer_to(database: Database) -> None:
    """The sweep may die at any moment, or never hear whether the object is gone."""
    with database.transaction() as connection:
        intents.declare(connection, "msg_1", ["a"], ttl_s=-1)
        intents.doom(connection)
    with pytest.raises(ObjectSwept), database.transaction() as connection:
        intents.settle(connection, ["a"])
    for again in (60, 0):
        with pytest.raises(StorageUnavailable), database.transaction() as connection:
            intents.declare(connection, "msg_1", ["b", "a"], ttl_s=again)
    with database.transaction() as connection:
        intents.withdraw(connection, "msg_1", ["a"])
        assert intents.forget_old(connection) == 0
        assert intents.doom(connection) == 0
        assert intents.doomed(connection) == {"a": "msg_1"}
        intents.forget(connection, ["a"])
        intents.declare(connection, "msg_1", ["a"], ttl_s=60)
    with database.transaction() as connection:
        intents.settle(connection, ["a"])


def test_what_was_put_after_the_sweep_is_swept_again(database: Database) -> None:
    with database.transaction() as connection:
        intents.withdraw(connection, "msg_1", ["a", "b"])
    with database.transaction() as connection:
        assert intents.doom(connection) == 2
        assert intents.doomed(connection) == {"a": "msg_1", "b": "msg_1"}


def test_an_erasure_comes_again_until_it_has_settled(database: Database) -> None:
    message_id = new_id("msg")
    with database.transaction() as connection:
        intents.erase_later(connection, [message_id], settle_s=-1)
        assert intents.due_erasures(connection) == [message_id]
        assert intents.due_erasures(connection) == []
        intents.erased(connection, message_id)
        intents.erase_later(connection, [message_id], settle_s=60)
        assert intents.due_erasures(connection) == [message_id]
        intents.erased(connection, message_id)
        assert intents.due_erasures(connection) == []


def test_a_prefix_into_which_somebody_is_about_to_write_is_emptied_again_soon(database: Database) -> None:
    quiet, written = new_id("msg"), new_id("msg")
    pause = text("SELECT message_id, run_after - clock_timestamp() FROM erasures")
    with database.transaction() as connection:
        intents.declare(connection, written, ["a"], ttl_s=900)
        intents.erase_later(connection, [quiet, written], settle_s=600)
        for message_id in (quiet, written):
            intents.erased(connection, message_id)
        pauses = {row[0]: row[1] for row in connection.execute(pause)}
    assert pauses[written] < timedelta(seconds=5) < pauses[quiet]
