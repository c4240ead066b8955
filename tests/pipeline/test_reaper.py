"""What the reaper does in each of its rounds."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.reaper import Reaper
from storage import jobs, messages
from storage.errors import StorageUnavailable
from storage.messages import Message
from tests.pipeline.conftest import Upload, sql
from tests.pipeline.faults import unreachable

Objects = Callable[[str], set[str]]


def expire(context: Context) -> None:
    sql(context, "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE state = 'running'")


def test_it_tells_the_message_when_its_job_was_given_up(
    context: Context, upload: Upload, read: Callable[[str], Message]
) -> None:
    message_id = upload("late.ogg")
    sql(context, "UPDATE jobs SET alone = true, expiries = :n", n=jobs.MAX_FAILURES - 1)
    with context.database.transaction() as connection:
        jobs.claim(connection, "media", lane=None, limit=1, lease_s=3, worker="w")
    expire(context)
    Reaper(context).take_back()
    voice = read(message_id).voice
    assert voice is not None
    assert (voice.state, voice.error_code) == ("failed", "processing_failed")


def test_when_the_database_hung_nothing_is_taken_back_at_once(
    context: Context, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload("late.ogg")
    with context.database.transaction() as connection:
        jobs.claim(connection, "media", lane=None, limit=1, lease_s=3, worker="w")
    expire(context)
    real, pauses = jobs.reap, iter([1.2])

    def hang(connection: Connection) -> tuple[int, list[jobs.DeadJob]]:
        time.sleep(next(pauses, 0))
        return real(connection)

    monkeypatch.setattr(jobs, "reap", hang)
    reaper = Reaper(context)
    for _ in range(2):
        reaper.tick()
        assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["running"]
    reaper._patience_until = 0
    reaper.tick()
    assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["queued"]


def test_after_an_outage_workers_get_the_time_to_show_that_they_live(context: Context, upload: Upload) -> None:
    upload("late.ogg")
    with context.database.transaction() as connection:
        jobs.claim(connection, "media", lane=None, limit=1, lease_s=3, worker="w")
    expire(context)
    reaper = Reaper(context)
    real, outages = context.database.transaction, iter([StorageUnavailable("away")])

    def fail_once():  # type: ignore[no-untyped-def]
        for outage in outages:
            raise outage
        return real()

    context.database.transaction = fail_once  # type: ignore[method-assign]
    reaper.tick()
    reaper.take_back()
    assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["running"]
    Reaper(context).take_back()
    assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["queued"]


def test_a_deleted_messages_objects_go_as_soon_as_the_store_is_back(
    context: Context, upload: Upload, objects: Objects
) -> None:
    message_id = upload("late.ogg")
    with context.database.transaction() as connection:
        assert messages.remove(connection, message_id)
    with pytest.raises(StorageUnavailable):
        Reaper(unreachable(context)).erase()
    assert objects(message_id) == {"original"}
    sql(context, "UPDATE erasures SET run_after = now()")
    Reaper(context).erase()
    assert objects(message_id) == set()
    assert len(sql(context, "SELECT 1 FROM erasures")) == 1
    sql(context, "UPDATE erasures SET run_after = now(), settle_at = now() - interval '1 s'")
    Reaper(context).erase()
    assert sql(context, "SELECT 1 FROM erasures") == []
