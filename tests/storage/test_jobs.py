"""The protocol of claiming, keeping, finishing and losing a job, on real Postgres."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from storage import arrivals, intents, job_records, jobs, messages, tables, transcripts, voices
from storage.database import Database
from storage.errors import LeaseLost
from storage.ids import new_id
from storage.jobs import Job, Lane
from storage.messages import Original
from storage.voices import MediaResult


@pytest.fixture
def upload(database: Database, thread: str) -> Callable[..., str]:
    def make(lane: Lane = Lane.LIVE) -> str:
        message_id = new_id("msg")
        original = Original(f"messages/{message_id}/original/x", 1, "0" * 64, "ogg")
        with database.transaction() as connection:
            intents.declare(connection, message_id, [original.object_key], ttl_s=60)
            arrivals.add_voice(
                connection, message_id, thread, "alice", original, language=None, external_id=None, lane=lane
            )
        return message_id

    return make


def claim(
    database: Database, queue: jobs.Queue = "media", *, limit: int = 1, lane: Lane | None = None, lease_s: float = 30
) -> list[Job]:
    with database.transaction() as connection:
        return jobs.claim(connection, queue, lane=lane, limit=limit, lease_s=lease_s, worker="w")


def expire_leases(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE state='running'")
        )


def reap(database: Database) -> tuple[int, list[jobs.DeadJob]]:
    with database.transaction() as connection:
        return jobs.reap(connection)


def finish(database: Database, job: Job) -> None:
    with database.transaction() as connection:
        jobs.finish(connection, job)


def state(database: Database, job: Job) -> str:
    with database.transaction() as connection:
        return str(connection.execute(text("SELECT state FROM jobs WHERE id = :id"), {"id": job.id}).scalar_one())


def test_a_job_is_claimed_by_one_worker_only(database: Database, upload: Callable[..., str]) -> None:
    message_id = upload()
    with database.transaction() as one, database.transaction() as other:
        mine = jobs.claim(one, "media", lane=None, limit=5, lease_s=30, worker="one")
        theirs = jobs.claim(other, "media", lane=None, limit=5, lease_s=30, worker="other")
    assert [job.message_id for job in mine] == [message_id]
    assert theirs == []


def test_live_jobs_are_claimed_before_batch_jobs_that_came_first(
    database: Database, upload: Callable[..., str]
) -> None:
    batch, live = upload(Lane.BATCH), upload(Lane.LIVE)
    assert [[job.message_id for job in claim(database, limit=2)] for _ in range(2)] == [[live], [batch]]


def test_a_worker_of_one_lane_leaves_the_other_alone(database: Database, upload: Callable[..., str]) -> None:
    batch = upload(Lane.BATCH)
    assert claim(database, lane=Lane.LIVE) == []
    assert [job.message_id for job in claim(database, lane=Lane.BATCH)] == [batch]


def test_a_finished_job_can_not_be_finished_again(database: Database, upload: Callable[..., str]) -> None:
    upload()
    [job] = claim(database)
    finish(database, job)
    with pytest.raises(LeaseLost):
        finish(database, job)


def test_a_worker_whose_lease_expired_may_finish_until_another_has_it(
    database: Database, upload: Callable[..., str]
) -> None:
    upload()
    [slow] = claim(database)
    expire_leases(database)
    assert reap(database) == (1, [])
    [fast] = claim(database)
    with pytest.raises(LeaseLost):
        finish(database, slow)
    finish(database, fast)
    assert state(database, fast) == "done"


def test_heartbeats_tell_which_jobs_are_still_held(database: Database, upload: Callable[..., str]) -> None:
    upload()
    upload()
    kept, lost = claim(database, limit=2)
    with database.transaction() as connection:
        jobs.cancel_for_messages(connection, [lost.message_id])
    with database.transaction() as connection:
        assert jobs.heartbeat(connection, [kept, lost], lease_s=30) == {kept.id}


def test_of_many_jobs_those_whose_token_is_the_last_are_still_held(
    database: Database, upload: Callable[..., str]
) -> None:
    for _ in range(4):
        upload()
    held = claim(database, limit=4)
    stale = replace(held[1], token=held[1].token - 1)
    ahead = replace(held[2], token=held[2].token + 1)
    finish(database, held[3])
    with database.transaction() as connection:
        assert jobs.still_held(connection, held) == {job.id for job in held[:3]}
        assert jobs.still_held(connection, [held[0], stale, ahead, held[3]]) == {held[0].id}
        assert jobs.still_held(connection, []) == set()


def test_a_job_whose_lease_expired_is_claimed_alone(database: Database, upload: Callable[..., str]) -> None:
    suspect = upload()
    claim(database)
    expire_leases(database)
    reap(database)
    upload()
    upload()
    claims = [[job.message_id for job in claim(database, limit=8)] for _ in range(2)]
    assert sorted(map(len, claims)) == [1, 2]
    assert [suspect] in claims


def test_a_job_that_keeps_killing_its_worker_alone_is_dead_after_five_times(
    database: Database, upload: Callable[..., str]
) -> None:
    message_id = upload()
    for _ in range(jobs.MAX_FAILURES):
        [job] = claim(database)
        expire_leases(database)
        assert reap(database) == (1, [])
    [job] = claim(database)
    expire_leases(database)
    again, [dead] = reap(database)
    assert (again, dead.message_id) == (0, message_id)
    assert claim(database) == []
    assert state(database, job) == "dead"


def test_infrastructure_failures_are_never_counted(database: Database, upload: Callable[..., str]) -> None:
    upload()
    for _ in range(jobs.MAX_FAILURES * 2):
        [job] = claim(database)
        with database.transaction() as connection:
            jobs.requeue(connection, job, reason="S3 is away", delay_s=0)
    [job] = claim(database)
    assert (job.attempts, job.requeues) == (0, jobs.MAX_FAILURES * 2)


def test_a_requeued_job_backs_off(database: Database, upload: Callable[..., str]) -> None:
    upload()
    [job] = claim(database)
    with database.transaction() as connection:
        jobs.requeue(connection, job, reason="S3 is away")
    assert claim(database) == []


def test_five_failures_of_its_own_kill_a_job_and_it_can_be_revived(
    database: Database, upload: Callable[..., str]
) -> None:
    upload()
    for attempt in range(jobs.MAX_FAILURES):
        with database.transaction() as connection:
            connection.execute(text("UPDATE jobs SET run_after = now()"))
        [job] = claim(database)
        with database.transaction() as connection:
            assert jobs.blame(connection, job, reason="bug") is (attempt == jobs.MAX_FAILURES - 1)
    assert claim(database) == []
    with database.transaction() as connection:
        assert len(jobs.revive(connection, [job.id, "job_x"])) == 1
    assert [revived.id for revived in claim(database)] == [job.id]


def test_nothing_is_finished_for_a_deleted_message(database: Database, thread: str, upload: Callable[..., str]) -> None:
    message_id = upload()
    [job] = claim(database)
    with database.transaction() as connection:
        work = voices.start(connection, message_id)
        assert work is not None
        assert messages.remove(connection, message_id)
    result = MediaResult(1000, None, b"", b"", [], "speech")
    with pytest.raises(LeaseLost), database.transaction() as connection:
        voices.finish(connection, job, work, result)
    with database.transaction() as connection:
        assert messages.get(connection, message_id, "alice") is None
        assert jobs.due(connection) == []


def test_a_blank_transcript_never_takes_the_place_of_one_with_words(
    database: Database, upload: Callable[..., str]
) -> None:
    message_id = upload()
    with database.transaction() as connection:
        first = messages.get(connection, message_id, "alice").voice.transcript.id  # type: ignore[union-attr]
        second = transcripts.add_version(connection, message_id, language="de")
        jobs.add(connection, "speech", message_id, transcript_id=first)
        jobs.add(connection, "speech", message_id, transcript_id=second)
    for words in ("hello", ""):
        [job] = claim(database, "speech")
        with database.transaction() as connection:
            work = transcripts.start(connection, job.transcript_id or "")
            assert work is not None
            intents.declare(connection, message_id, [f"k{words}"], ttl_s=60)
            outcome = "completed" if words else "no_speech"
            result = transcripts.SpeechResult(outcome, "en", 0.9, None, words, "micro", f"k{words}")
            transcripts.finish(connection, job, work, result)
    with database.transaction() as connection:
        active = messages.get(connection, message_id, "bob").voice.transcript  # type: ignore[union-attr]
    assert active is not None
    assert (active.version, active.text) == (1, "hello")


def test_jobs_that_are_over_are_forgotten_after_a_while(database: Database, upload: Callable[..., str]) -> None:
    message = upload()
    with database.transaction() as connection:
        ids = {state: jobs.add(connection, "media", message) for state in ("done", "cancelled", "dead", "queued")}
        for state, job_id in ids.items():
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job_id).values(state=state))
    with database.transaction() as connection:
        job_records.forget_old(connection)
        assert all(job_records.get(connection, job_id) for job_id in ids.values())
        assert job_records.forget_old(connection, kept=timedelta(seconds=-1)) >= 2
        left = {state for state, job_id in ids.items() if job_records.get(connection, job_id)}
    assert left == {"dead", "queued"}
