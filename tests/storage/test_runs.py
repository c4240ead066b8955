"""Walking stored messages: which are queued, each once, in pages that cost the same wherever they are."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from storage import run_items, run_jobs, run_walk, runs, threads
from storage.database import Database
from storage.ids import new_id
from storage.runs import Filter, Plan, Survey, WrongState

EVERYTHING = Plan("transcribe", Filter(), None, None, "if-not-worse", None, None)
NOT_COUNTED = Survey(0, 0, False)


def store(database: Database, thread: str, count: int = 1, *, sender: str = "alice", **transcript: object) -> list[str]:
    """Ready messages with one transcript each, oldest first."""
    made = sorted(new_id("msg") for _ in range(count))
    version = {"state": "completed", "language": "en", "confidence": 0.8, "model": "old", "model_version": "1"}
    with database.transaction() as connection:
        last = connection.execute(
            text("UPDATE threads SET last_seq = last_seq + :count WHERE id = :id RETURNING last_seq"),
            {"id": thread, "count": count},
        ).scalar_one()
        rows = [
            {"id": message_id, "thread": thread, "seq": last - count + number, "sender": sender, "made": new_id("tra")}
            for number, message_id in enumerate(made, 1)
        ]
        for statement in (
            "INSERT INTO messages (id, thread_id, seq, sender_id, kind) VALUES (:id, :thread, :seq, :sender, 'voice')",
            "INSERT INTO voices (message_id, state, original_key, original_size, original_sha256, container,"
            " duration_ms, transcript_id, renditions) VALUES (:id, 'ready', 'o', 1, 'x', 'ogg', 4000, :made, '[{}]')",
            "INSERT INTO transcripts (id, message_id, version, text, state, language, confidence, model,"
            " model_version) VALUES (:made, :id, 1, 'hello', :state, :language, :confidence, :model, :model_version)",
        ):
            connection.execute(text(statement), [row | version | transcript for row in rows])
    return made


def begin(database: Database, plan: Plan = EVERYTHING) -> str:
    with database.transaction() as connection:
        return runs.create(connection, plan, NOT_COUNTED, "root")[0]


def walk(database: Database, run_id: str, room: int = 1000) -> int:
    """One page; how many it queued."""
    with database.transaction() as connection:
        run = runs.take(connection, run_id)
        assert run is not None
        return run_walk.queue(connection, run, room).queued


def queued(database: Database, run_id: str) -> list[str]:
    with database.transaction() as connection:
        rows = connection.execute(
            text("SELECT message_id FROM jobs WHERE run_id = :id ORDER BY message_id"), {"id": run_id}
        )
        return [row.message_id for row in rows]


def change(database: Database, statement: str, **values: object) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement), values)


def of(filter_: Filter, **changes: object) -> Plan:
    return Plan(**{**vars(EVERYTHING), "filter": filter_, **changes})  # type: ignore[arg-type]


def test_a_page_queues_no_more_than_there_is_room_for_and_the_next_goes_on_behind_it(
    database: Database, thread: str
) -> None:
    made = store(database, thread, 7)
    run_id = begin(database)
    assert [walk(database, run_id, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert sorted(queued(database, run_id)) == made
    with database.transaction() as connection:
        run = runs.get(connection, run_id)
    assert run is not None
    assert (run.walked, run.queued, run.total, run.total_exact) == (True, 7, 7, True)


def test_a_full_page_is_not_the_last(database: Database, thread: str) -> None:
    store(database, thread, 2100)
    run_id = begin(database)
    assert [walk(database, run_id, 5000) for _ in range(3)] == [1000, 1000, 100]


def test_a_walker_that_dies_in_the_middle_has_queued_nothing_and_passed_over_nothing(
    database: Database, thread: str
) -> None:
    made = store(database, thread, 5)
    run_id = begin(database)
    walk(database, run_id, 2)

    def die() -> None:
        with database.transaction() as connection:
            run = runs.take(connection, run_id)
            assert run is not None
            assert run_walk.queue(connection, run, 2).queued == 2
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        die()
    assert queued(database, run_id) == made[:2]
    walk(database, run_id)
    assert sorted(queued(database, run_id)) == made


def test_two_walkers_do_not_move_the_same_run(database: Database, thread: str) -> None:
    store(database, thread, 2)
    run_id = begin(database)
    with database.transaction() as one, database.transaction() as other:
        assert runs.take(one, run_id) is not None
        assert runs.take(other, run_id) is None


def test_what_is_sent_after_the_run_began_is_not_its_business(database: Database, thread: str) -> None:
    before = store(database, thread, 2)
    run_id = begin(database)
    store(database, thread, 2)
    walk(database, run_id)
    assert queued(database, run_id) == before


def test_the_same_plan_is_one_run_for_as_long_as_it_is_active(database: Database, thread: str) -> None:
    ids = store(database, thread, 3)
    plan = of(Filter(ids=tuple(ids)), model="new")
    first = begin(database, plan)
    faster = Plan(**{**vars(plan), "rate_limit": 5.0, "filter": Filter(ids=(ids[2], *ids))})
    assert begin(database, faster) == first
    assert begin(database, of(Filter(ids=tuple(ids[:2])), model="new")) != first
    with database.transaction() as connection:
        runs.cancel(connection, first)
    assert begin(database, plan) != first


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        (Filter(model="new"), {"model": "old"}),
        (Filter(model="new", model_version="1"), {"model_version": "2"}),
        (Filter(language="de"), {"language": "en"}),
        (Filter(confidence_below=0.5), {"confidence": 0.6}),
        (Filter(state="no_speech"), {"state": "completed"}),
        (Filter(state="failed"), {"state": "no_speech"}),
    ],
)
def test_filters_of_the_active_transcript(
    database: Database, thread: str, wanted: Filter, other: dict[str, object]
) -> None:
    matching = {
        "model": "new",
        "language": "de",
        "confidence": 0.4,
        "state": wanted.state or "completed",
    }
    found = store(database, thread, 2, **matching)
    store(database, thread, 2, **{**matching, **other})
    run_id = begin(database, of(wanted))
    walk(database, run_id)
    assert queued(database, run_id) == found


def test_filters_of_the_message(database: Database, thread: str) -> None:
    hers, his = store(database, thread, 2), store(database, thread, 2, sender="bob")
    with database.transaction() as connection:
        elsewhere = threads.create(connection, creator="alice", members=["bob"])[0]
    there = store(database, elsewhere, 2)
    change(database, "UPDATE messages SET created_at = '2020-01-01' WHERE id = :id", id=hers[0])
    long_ago = datetime.now(UTC) - timedelta(days=365)
    change(database, "UPDATE messages SET seq = -seq WHERE id = :id", id=there[0])
    for filter_, expected in (
        (Filter(sender_id="bob"), his),
        (Filter(thread_id=thread), hers + his),
        (Filter(thread_id=thread, sender_id="bob"), his),
        (Filter(thread_id=elsewhere), there),
        (Filter(created_before=long_ago), hers[:1]),
        (Filter(created_after=long_ago), hers[1:] + his + there),
        (Filter(ids=(there[1], his[0], new_id("msg"))), [his[0], there[1]]),
        (Filter(ids=(there[1], his[0]), sender_id="bob"), [his[0]]),
    ):
        run_id = begin(database, of(filter_))
        while walk(database, run_id, 1):
            pass
        assert sorted(queued(database, run_id)) == expected, filter_


def test_messages_that_are_not_to_be_touched_are_not_queued(database: Database, thread: str) -> None:
    corrected, pending, unready, let_go, deleted, good = store(database, thread, 6)
    change(database, "UPDATE voices SET corrected_text = 'mine' WHERE message_id = :id", id=corrected)
    change(database, "UPDATE transcripts SET state = 'pending' WHERE message_id = :id", id=pending)
    change(database, "UPDATE voices SET state = 'failed' WHERE message_id = :id", id=unready)
    change(database, "UPDATE voices SET transcript_id = NULL WHERE message_id = :id", id=let_go)
    change(database, "DELETE FROM voices WHERE message_id = :id", id=deleted)
    run_id = begin(database)
    walk(database, run_id)
    assert queued(database, run_id) == [good]


def test_a_limit_ends_the_walk(database: Database, thread: str) -> None:
    store(database, thread, 5)
    run_id = begin(database, of(Filter(), at_most=3))
    assert [walk(database, run_id, 2) for _ in range(3)] == [2, 1, 0]
    with database.transaction() as connection:
        run = runs.get(connection, run_id)
    assert run is not None
    assert (run.walked, run.total) == (True, 3)


def test_a_rate_limit_grants_what_the_time_allows_and_spreads_it(database: Database, thread: str) -> None:
    store(database, thread, 100)
    run_id = begin(database, of(Filter(), rate_limit=5.0))
    assert walk(database, run_id) == 0
    change(database, "UPDATE runs SET credited_at = credited_at - interval '2 seconds'")
    assert walk(database, run_id) == 10
    change(database, "UPDATE runs SET credited_at = credited_at - interval '1 day'")
    assert walk(database, run_id) == 50
    with database.transaction() as connection:
        spread = connection.execute(
            text("SELECT extract(epoch FROM max(run_after) - min(run_after)) FROM jobs")
        ).scalar_one()
    assert 9 <= spread <= 11


def test_a_paused_run_has_nothing_to_claim_and_goes_on_when_it_is_resumed(database: Database, thread: str) -> None:
    store(database, thread, 3)
    run_id = begin(database)
    walk(database, run_id)
    states = "SELECT DISTINCT state FROM jobs"
    for step, expected in ((runs.pause, "held"), (runs.pause, "held"), (runs.resume, "queued")):
        with database.transaction() as connection:
            step(connection, run_id)
            assert connection.execute(text(states)).scalars().all() == [expected]


def test_a_cancelled_run_takes_back_what_waits_and_can_not_be_resumed(database: Database, thread: str) -> None:
    store(database, thread, 3)
    run_id = begin(database)
    walk(database, run_id)
    with database.transaction() as connection:
        runs.cancel(connection, run_id)
        progress = runs.progress(connection, run_id)
        assert (progress.open, progress.done) == (0, 0)
        assert run_jobs.outstanding(connection, run_id) == 0
        assert connection.execute(text("SELECT 1 FROM run_items")).first() is None
    with database.transaction() as connection, pytest.raises(WrongState):
        runs.resume(connection, run_id)
    assert run_id not in moving(database)


def test_a_slow_run_may_queue_as_much_as_a_fast_one(database: Database, thread: str) -> None:
    plans = [EVERYTHING, of(Filter(), model="new"), of(Filter(), model="newer"), of(Filter(), kind="transcode")]
    for rate, plan in zip((30, 10, 99, 99), plans, strict=True):
        change(database, "UPDATE runs SET rate = :rate WHERE id = :id", rate=rate, id=begin(database, plan))
    with database.transaction() as connection:
        runs.pause(connection, runs.moving(connection)[2])
        assert runs.share(connection, "transcribe") == 20


def moving(database: Database) -> list[str]:
    with database.transaction() as connection:
        return runs.moving(connection)


def test_the_survey_counts_what_the_walk_would_queue(database: Database, thread: str) -> None:
    first, *_ = store(database, thread, 3)
    store(database, thread, 2, language="de")
    for filter_, count in ((Filter(language="de"), 2), (Filter(thread_id=thread), 5), (Filter(ids=(first, first)), 1)):
        with database.transaction() as connection:
            walk = run_walk.planned(connection, of(filter_))
            assert run_walk.survey(connection, walk, "") == (count, 4000 * count, None)


def test_a_failure_that_is_made_good_is_counted_once(database: Database, thread: str) -> None:
    [message_id] = store(database, thread, 1)
    run_id = begin(database)
    walk(database, run_id)
    with database.transaction() as connection:
        for reason in ("engine_failed", "engine_failed", "worker_died"):
            run_items.give_up(connection, run_id, message_id, reason)
        progress = runs.progress(connection, run_id)
    assert [(tally.outcome, tally.reason, tally.messages) for tally in progress.tallies] == [
        ("failed", "worker_died", 1)
    ]


@pytest.mark.parametrize("filter_", [Filter(), Filter(sender_id="bob"), Filter(language="xx")])
def test_a_page_reads_no_more_rows_at_the_end_than_at_the_beginning(
    database: Database, thread: str, filter_: Filter
) -> None:
    store(database, thread, 1500)
    store(database, thread, 1500, sender="bob")
    change(database, "ANALYZE")
    run_id = begin(database, of(filter_))
    pages = []
    while not pages or pages[-1][1]:
        with explained(database) as rows:
            more = walk_page(database, run_id)
        pages.append((rows[0], more))
    whole = [rows for rows, more in pages if more]
    assert len(whole) > 10
    assert max(whole) <= 2 * min(whole)


def walk_page(database: Database, run_id: str) -> bool:
    with database.transaction() as connection:
        run = runs.take(connection, run_id)
        assert run is not None
        run_walk.queue(connection, run, 50)
        after = runs.get(connection, run_id)
        return after is not None and not after.walked


class explained:
    """How many rows Postgres itself touched for the page, by its own account."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self.rows: list[int] = []

    def __enter__(self) -> list[int]:
        event.listen(self._engine, "before_cursor_execute", self._explain)
        return self.rows

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._explain)

    def _explain(self, _: object, cursor: object, statement: str, parameters: object, *__: object) -> None:
        if "MATERIALIZED" in statement:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)  # type: ignore[attr-defined]
            [[[plan]]] = cursor.fetchall()  # type: ignore[attr-defined]
            self.rows.append(touched(plan["Plan"]))


def touched(node: dict[str, object]) -> int:
    own = int(node["Actual Rows"] * node["Actual Loops"]) + int(node.get("Rows Removed by Filter", 0))  # type: ignore[operator, call-overload]
    return own + sum(touched(child) for child in node.get("Plans", []))  # type: ignore[attr-defined]
