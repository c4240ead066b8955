"""Where imported messages stand in a thread, and whom that concerns."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from storage import arrivals, history, intents, messages, threads
from storage.database import Database
from storage.ids import made_at, new_id
from storage.jobs import Lane
from storage.messages import Original

LONG_AGO = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)


def bring(database: Database, thread: str, sent_at: datetime) -> str:
    message_id = new_id("msg", sent_at.timestamp())
    original = Original(f"messages/{message_id}/original/x", 1, "0" * 64, "ogg")
    with database.transaction() as connection:
        intents.declare(connection, message_id, [original.object_key], ttl_s=60)
        arrivals.add_voice(
            connection,
            message_id,
            thread,
            "alice",
            original,
            language=None,
            external_id=None,
            lane=Lane.BATCH,
            sent_at=sent_at,
        )
    return message_id


def write(database: Database, thread: str, words: str, sender: str = "alice") -> str:
    with database.transaction() as connection:
        return messages.add_text(connection, thread, sender, words)


def listed(database: Database, thread: str, viewer: str) -> list[str]:
    """Oldest first, page by page."""
    found: list[messages.Message] = []
    with database.transaction() as connection:
        while page := messages.page(connection, thread, viewer, limit=2, before_seq=found[-1].seq if found else None):
            found += page
    return [message.id for message in found][::-1]


def counts(database: Database, thread: str, viewer: str) -> tuple[int, int]:
    with database.transaction() as connection:
        seen = threads.get(connection, thread, viewer)
    assert seen is not None
    return seen.unread_count, seen.unplayed_count


def test_who_sends_meanwhile_is_not_waited_for(database: Database, thread: str) -> None:
    """They hold their place in the thread and then want the thread, which the import has: neither could go on."""
    for words in ("one", "two"):
        write(database, thread, words)
    with database.transaction() as sending, ThreadPoolExecutor(1) as pool:
        assert threads.has_member(sending, thread, "alice", staying=True)
        pool.submit(bring, database, thread, datetime.now(UTC) + timedelta(seconds=5)).result(timeout=10)
        messages.add_text(sending, thread, "alice", "three")


def test_history_is_in_order_of_its_times_whatever_came_first(database: Database, thread: str) -> None:
    here = write(database, thread, "sent here")
    brought = {day: bring(database, thread, LONG_AGO + timedelta(days=day)) for day in (3, 1, 2)}
    assert listed(database, thread, "bob") == [brought[1], brought[2], brought[3], here]
    assert made_at(brought[1]) == (LONG_AGO + timedelta(days=1)).timestamp()


def test_several_of_one_moment_stand_in_the_order_in_which_they_came(database: Database, thread: str) -> None:
    brought = [bring(database, thread, LONG_AGO) for _ in range(5)]
    assert listed(database, thread, "bob") == brought


def test_history_is_told_to_nobody_and_counts_as_nothing_new(database: Database, thread: str) -> None:
    write(database, thread, "sent here")
    with database.transaction() as connection:
        before = threads.get(connection, thread, "bob")
    bring(database, thread, LONG_AGO)
    assert counts(database, thread, "bob") == (1, 0)
    with database.transaction() as connection:
        after = threads.get(connection, thread, "bob")
        told = connection.execute(text("SELECT type FROM events")).all()
    assert before is not None
    assert after is not None
    assert (after.last_message_id, after.last_activity_at) == (before.last_message_id, before.last_activity_at)
    assert len(told) == 1


def test_what_was_sent_here_before_it_becomes_history_and_marks_stay_where_they_were(
    database: Database, thread: str
) -> None:
    first, second, third = (write(database, thread, words) for words in ("one", "two", "three"))
    with database.transaction() as connection:
        threads.mark_read(connection, thread, "bob", 1)
        threads.add_member(connection, thread, "carol")
        connection.execute(
            text("UPDATE messages SET created_at = :early WHERE id IN (:first, :second)"),
            {"early": LONG_AGO, "first": first, "second": second},
        )
        connection.execute(text("UPDATE participants SET visible_after_seq = 1 WHERE user_id = 'carol'"))
    brought = bring(database, thread, LONG_AGO + timedelta(days=1))
    fourth = write(database, thread, "four")
    assert listed(database, thread, "bob") == [first, second, brought, third, fourth]
    assert listed(database, thread, "carol") == [second, brought, third, fourth]
    with database.transaction() as connection:
        read = {
            message.id: message.read_by
            for message in messages.page(connection, thread, "alice", limit=9, before_seq=None)
        }
        assert [
            row.seq
            for row in connection.execute(
                text("SELECT m.seq FROM messages m JOIN search_entries s ON s.message_id = m.id WHERE s.seq <> m.seq")
            )
        ] == []
    assert "bob" in read[first]
    assert "bob" not in read[second]


@pytest.mark.parametrize("seed", range(3))
def test_no_import_changes_what_somebody_sees_or_has_read_of_what_was_sent_here(
    database: Database, thread: str, seed: int
) -> None:
    chance = random.Random(seed)
    clock, people, sent = LONG_AGO, ["alice", "bob"], []
    times: dict[str, datetime] = {}
    for step in range(40):
        clock += timedelta(seconds=chance.randint(1, 5000))
        match chance.choice(("send", "send", "join", "read", "import", "import")):
            case "send":
                sent.append(write(database, thread, f"{step}", chance.choice(people)))
                times[sent[-1]] = clock
                change(database, "UPDATE messages SET created_at = :at WHERE id = :id", at=clock, id=sent[-1])
            case "join":
                people.append(f"person-{step}")
                with database.transaction() as connection:
                    threads.add_member(connection, thread, people[-1], history=chance.random() < 0.3)
            case "read" if sent:
                with database.transaction() as connection:
                    if seq := messages.seq_of(connection, chance.choice(sent), thread, reader := chance.choice(people)):
                        threads.mark_read(connection, thread, reader, seq)
            case "import":
                before = seen_and_unread(database, sent)
                at = LONG_AGO + timedelta(seconds=int((clock - LONG_AGO).total_seconds() * chance.random()))
                times[bring(database, thread, at)] = at
                assert seen_and_unread(database, sent) == before
    in_order = [times[message] for message in listed(database, thread, "alice")]
    assert in_order == sorted(in_order)
    assert len(in_order) == len(times)


def seen_and_unread(database: Database, sent: list[str]) -> set[tuple[str, str, bool, bool]]:
    rows = change(
        database,
        "SELECT p.user_id, m.id, m.seq > p.visible_after_seq, m.seq > p.read_seq FROM participants p"
        " JOIN messages m ON m.thread_id = p.thread_id AND m.id = ANY(:sent)",
        sent=sent,
    )
    return {tuple(row) for row in rows}


def change(database: Database, statement: str, **values: object) -> list[Any]:
    with database.transaction() as connection:
        result = connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


def test_who_joined_without_history_does_not_get_it_by_an_import(database: Database, thread: str) -> None:
    write(database, thread, "before")
    with database.transaction() as connection:
        threads.add_member(connection, thread, "carol")
    bring(database, thread, LONG_AGO)
    assert listed(database, thread, "carol") == []
    assert len(listed(database, thread, "bob")) == 2


def test_a_thread_of_history_lasts_from_its_first_to_its_last_message(database: Database) -> None:
    with database.transaction() as connection:
        thread = history.open_thread(connection, "old", creator="alice", members=["bob"], title=None, sent_at=LONG_AGO)
    for day in (0, 2, -1):
        bring(database, thread, LONG_AGO + timedelta(days=day))
    with database.transaction() as connection:
        seen = threads.get(connection, thread, "bob")
    assert seen is not None
    assert (seen.created_at, seen.last_activity_at) == (LONG_AGO - timedelta(days=1), LONG_AGO + timedelta(days=2))
