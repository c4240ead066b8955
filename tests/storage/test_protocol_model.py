"""The protocol of jobs against a model of it: several workers, a reaper and people who delete, in any order.

Hypothesis makes up the order and shortens what fails. Every step is a transaction on the real tables; a worker may also
be stopped in the middle of the one that writes its result, while everybody else goes on.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, text

from storage import arrivals, intents, jobs, messages, threads, transcripts, voices
from storage.database import Database
from storage.errors import LeaseLost
from storage.ids import new_id
from storage.jobs import Job
from storage.messages import Original
from storage.transcripts import SpeechResult, SpeechWork
from storage.voices import MediaResult, MediaWork

_WRONG = """
    SELECT message_id || ' was told of ' || type || ' again' FROM events GROUP BY message_id, type HAVING count(*) > 1
    UNION ALL SELECT message_id || ' has a voice' FROM voices WHERE message_id = ANY(:deleted)
    UNION ALL SELECT message_id || ' has a transcript' FROM transcripts WHERE message_id = ANY(:deleted)
    UNION ALL SELECT object_key || ' is an intent' FROM intents
    UNION ALL SELECT message_id || ' is not ready any more' FROM voices JOIN jobs USING (message_id)
        WHERE jobs.state = 'done' AND queue = 'media' AND voices.state <> 'ready'
    UNION ALL SELECT message_id || ' is not transcribed any more' FROM transcripts JOIN jobs USING (message_id)
        WHERE jobs.state = 'done' AND queue = 'speech' AND transcripts.state <> 'completed'
"""
FULL = "N" in os.environ
ANY = strategies.integers(0, 99)
WORKERS = strategies.sampled_from(("one", "other", "third"))
QUEUES = strategies.sampled_from(jobs.QUEUES)


@dataclass
class Model:
    """What is to be expected of one job."""

    message: str
    state: str = "queued"
    token: int = 0
    attempts: int = 0
    expiries: int = 0
    alone: bool = False
    expired: bool = False

    def seen(self) -> tuple[Any, ...]:
        return (self.state, self.token, self.attempts, self.expiries, self.alone)

    def end(self, state: str, *, token: int = 0) -> None:
        assert self.state != "done", "a finished job never changes"
        self.state, self.token = state, self.token + token


@dataclass
class Unfinished:
    """A transaction that holds a result and has not been committed."""

    job: Job
    scope: ExitStack = field(default_factory=ExitStack)


class Protocol(RuleBasedStateMachine):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._run("DELETE FROM threads; DELETE FROM events; DELETE FROM intents; DELETE FROM erasures")
        with database.transaction() as connection:
            self._thread = threads.create(connection, creator="alice", members=[])[0]
        self._model: dict[str, Model] = {}
        # Everything that a worker was ever given, so also what was taken from it since.
        self._claims: list[Job] = []
        self._deleted: set[str] = set()
        self._unfinished: Unfinished | None = None

    @initialize()
    def one_has_sent(self) -> None:
        self.somebody_sends()

    # Few, so that much happens to each.
    @precondition(lambda self: self._working() < 2)
    @rule()
    def somebody_sends(self) -> None:
        message = new_id("msg")
        original = Original(f"messages/{message}/original/x", 1, "0" * 64, "ogg")
        with self._database.transaction() as connection:
            intents.declare(connection, message, [original.object_key], ttl_s=60)
            arrivals.add_voice(connection, message, self._thread, "alice", original, language=None, external_id=None)
        self._notice_new_jobs()

    @rule(worker=WORKERS, queue=QUEUES, limit=strategies.integers(1, 3))
    def a_worker_claims(self, worker: str, queue: jobs.Queue, limit: int) -> None:
        self._run("UPDATE jobs SET run_after = clock_timestamp() WHERE state = 'queued'")
        with self._database.transaction() as connection:
            claimed = jobs.claim(connection, queue, lane=None, limit=limit, lease_s=3600, worker=worker)
        assert len(claimed) == 1 or not any(job.alone for job in claimed)
        for job in claimed:
            expected = self._model[job.id]
            assert expected.state == "queued", "only what waits is claimed"
            expected.state, expected.token, expected.expired = "running", expected.token + 1, False
            assert (job.token, job.alone) == (expected.token, expected.alone)
        self._claims += claimed

    @precondition(lambda self: self._claims)
    @rule(which=ANY)
    def a_worker_prolongs(self, which: int) -> None:
        if job := self._one_of(self._claims, which):
            with self._database.transaction() as connection:
                kept = jobs.heartbeat(connection, [job], lease_s=3600)
            assert kept == ({job.id} if self._is_held(job) else set())
            if kept:
                self._model[job.id].expired = False

    @precondition(lambda self: self._held())
    @rule(which=ANY, noticed=strategies.booleans(), taken_over=strategies.booleans())
    def a_lease_runs_out(self, which: int, noticed: bool, taken_over: bool) -> None:
        if job := self._one_of(self._held(), which):
            self._run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE id = :id", id=job.id)
            self._model[job.id].expired = True
            if noticed:
                self.the_reaper_takes_back()
            if noticed and taken_over:
                self.a_worker_claims("third", job.queue, 3)

    @precondition(lambda self: any(each.expired for each in self._model.values()))
    @rule()
    def the_reaper_takes_back(self) -> None:
        with self._database.transaction() as connection:
            _, dead = jobs.reap(connection)
        busy = self._unfinished.job.id if self._unfinished else None
        died = set()
        for job_id, expected in self._model.items():
            if expected.state == "running" and expected.expired and job_id != busy:
                expected.expiries += expected.alone
                if expected.expiries == jobs.MAX_FAILURES:
                    died.add(job_id)
                expected.end("dead" if job_id in died else "queued", token=1)
                expected.alone = True
        assert {job.id for job in dead} == died

    @precondition(lambda self: self._claims)
    @rule(which=ANY)
    def a_worker_begins(self, which: int) -> None:
        if job := self._one_of(self._claims, which):
            self._fenced(job, lambda connection: self._begin(connection, job), "running")

    @precondition(lambda self: self._claims)
    @rule(which=ANY)
    def a_worker_finishes(self, which: int) -> None:
        if job := self._one_of(self._claims, which):
            self._fenced(job, lambda connection: self._finish(connection, job), "done")
            self._notice_new_jobs()

    @precondition(lambda self: self._held() and self._unfinished is None)
    @rule(which=ANY)
    def a_worker_stops_before_its_commit(self, which: int) -> None:
        if job := self._one_of(self._held(), which):
            self._unfinished = Unfinished(job)
            self._finish(self._unfinished.scope.enter_context(self._database.transaction()), job)

    @precondition(lambda self: self._unfinished is not None)
    @rule(killed=strategies.booleans())
    def it_commits_or_dies(self, killed: bool) -> None:
        assert self._unfinished is not None
        unfinished, self._unfinished = self._unfinished, None
        if killed:
            error = KeyboardInterrupt()
            unfinished.scope.__exit__(type(error), error, None)
            return
        unfinished.scope.close()
        self._model[unfinished.job.id].end("done")
        self._notice_new_jobs()

    @precondition(lambda self: self._claims)
    @rule(which=ANY)
    def a_worker_finds_the_store_away(self, which: int) -> None:
        if job := self._one_of(self._claims, which):
            self._fenced(job, lambda connection: jobs.requeue(connection, job, reason="S3 is away"), "queued")

    @precondition(lambda self: self._claims)
    @rule(which=ANY)
    def a_worker_fails_by_the_jobs_fault(self, which: int) -> None:
        if job := self._one_of(self._claims, which):
            # What it was told when it claimed decides, and nobody else can have counted since.
            state = "dead" if job.attempts + 1 == jobs.MAX_FAILURES else "queued"
            held = self._is_held(job)
            self._fenced(job, lambda connection: jobs.blame(connection, job, reason="a bug"), state)
            self._model[job.id].attempts += held

    @rule(which=ANY)
    def somebody_deletes(self, which: int) -> None:
        if which % 3:
            return
        living = sorted({expected.message for expected in self._model.values()} - self._deleted - self._busy())
        if living:
            message = living[which % len(living)]
            with self._database.transaction() as connection:
                assert messages.remove(connection, message)
            self._deleted.add(message)
            for expected in self._model.values():
                if expected.message == message and expected.state != "done":
                    expected.end("cancelled", token=1)

    @precondition(lambda self: any(each.state == "dead" for each in self._model.values()))
    @rule()
    def an_operator_revives(self) -> None:
        with self._database.transaction() as connection:
            revived = {job.id for job in jobs.revive(connection, None)}
        assert revived == {job_id for job_id, expected in self._model.items() if expected.state == "dead"}
        for job_id in revived:
            expected = self._model[job_id]
            expected.state, expected.attempts, expected.expiries = "queued", 0, 0

    @invariant()
    def the_tables_are_as_the_model_says(self) -> None:
        """Also: results are told of once, nothing of what was deleted is there, and no key is left without its row."""
        rows = self._run("SELECT id, state, token, attempts, expiries, alone FROM jobs")
        assert {row[0]: tuple(row[1:]) for row in rows} == {key: each.seen() for key, each in self._model.items()}
        assert self._run(_WRONG, deleted=list(self._deleted)) == []

    def teardown(self) -> None:
        """Whatever happened: one worker that works brings everything to its end."""
        if self._unfinished:
            self.it_commits_or_dies(killed=True)
        self._run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 'running'")
        for expected in self._model.values():
            expected.expired = True
        self.the_reaper_takes_back()
        while self._work_off():
            pass
        assert {expected.state for expected in self._model.values()} <= {"done", "dead", "cancelled"}
        self.the_tables_are_as_the_model_says()

    def _work_off(self) -> bool:
        before = len(self._claims)
        for queue in jobs.QUEUES:
            self.a_worker_claims("last", queue, 3)
        for job in self._claims[before:]:
            self._fenced(job, lambda connection, job=job: self._finish(connection, job), "done")
        self._notice_new_jobs()
        return len(self._claims) > before

    def _finish(self, connection: Connection, job: Job) -> None:
        """As a worker does it: the keys that its result names are intents before."""
        key = f"result-{job.id}"
        work = self._begin(connection, job)
        if isinstance(work, MediaWork):
            intents.declare(connection, job.message_id, [key], ttl_s=60)
            voices.finish(connection, job, work, MediaResult(1000, None, b"", b"", [], key))
        else:
            intents.declare(connection, job.message_id, [key], ttl_s=60)
            result = SpeechResult("completed", "en", 0.9, None, "hello", "micro", key)
            transcripts.finish(connection, job, work, result)

    def _begin(self, connection: Connection, job: Job) -> MediaWork | SpeechWork:
        jobs.confirm(connection, job)
        if job.queue == "media":
            work = voices.start(connection, job.message_id)
        else:
            work = transcripts.start(connection, job.transcript_id or "")
        assert work is not None
        return work

    def _fenced(self, job: Job, step: Callable[[Connection], object], state: str) -> None:
        """Succeeds for whoever holds the job, changes nothing for anybody else."""
        if self._is_held(job):
            with self._database.transaction() as connection:
                step(connection)
            self._model[job.id].end(state)
        else:
            with pytest.raises(LeaseLost), self._database.transaction() as connection:
                step(connection)

    def _is_held(self, job: Job) -> bool:
        expected = self._model[job.id]
        return (expected.state, expected.token) == ("running", job.token)

    def _working(self) -> int:
        return sum(expected.state in ("queued", "running") for expected in self._model.values())

    def _held(self) -> list[Job]:
        return [job for job in self._claims if self._is_held(job)]

    def _one_of(self, claims: Sequence[Job], which: int) -> Job | None:
        """But for those that would wait for the one that is in the middle of its commit."""
        free = [job for job in claims if job.message_id not in self._busy()]
        return free[-1 - which % len(free)] if free else None

    def _busy(self) -> set[str]:
        return {self._unfinished.job.message_id} if self._unfinished else set()

    def _notice_new_jobs(self) -> None:
        for row in self._run("SELECT id, message_id FROM jobs"):
            self._model.setdefault(row[0], Model(row[1]))

    def _run(self, statement: str, **values: Any) -> list[Any]:
        with self._database.transaction() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []


def test_any_order_of_events_keeps_the_promises(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that jobs die within the length of an example.
    monkeypatch.setattr(jobs, "MAX_FAILURES", 2)
    run_state_machine_as_test(
        lambda: Protocol(database),
        settings=settings(
            max_examples=1000 if FULL else 70,
            stateful_step_count=40,
            derandomize=not FULL,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
