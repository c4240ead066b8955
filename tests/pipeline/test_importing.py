"""An archive of recordings becomes messages, once, in order, quietly and behind live traffic."""

import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import failures
from pipeline.context import Context
from pipeline.draining import Drain
from pipeline.importing.importer import Importer, Options
from pipeline.importing.report import Report
from pipeline.importing.sources import source_of
from pipeline.reaper import Reaper
from storage import jobs, people, retention, threads
from storage.jobs import Lane
from tests.pipeline.archives import Archive, brought, stored, working
from tests.pipeline.conftest import SAMPLES, Start, Upload, sql
from tests.stack import wait_until

COUNTS = ("imported", "already_there", "refused", "failed")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def counts(report: dict[str, int]) -> tuple[int, ...]:
    return tuple(report[name] for name in COUNTS)


def test_recordings_become_messages_of_their_own_time_in_order_and_nobody_is_told(
    context: Context, archive: Archive, thread: str
) -> None:
    archive.add(sent_at="2021-03-05T00:00:00+01:00", file="answer.webm", sender="bob", external_id="b-1", language="en")
    archive.add(sent_at="2021-03-04T00:00:00Z", file="late.ogg", thread_title="Old times", participants=["carol"])
    archive.add(thread_external_id=None, thread=thread, file="meeting.m4a")
    with working(context):
        report = brought(context, archive.manifest, wait=True)
    assert counts(report) == (3, 0, 0, 0)
    other, earlier, later = sorted(stored(context), key=lambda row: (row.thread == "old", row.seq))
    assert (other.thread_id, other.created_at) == (thread, datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert (earlier.sender_id, later.sender_id, later.external_id) == ("alice", "bob", "b-1")
    assert later.created_at == datetime(2021, 3, 4, 23, tzinfo=UTC)
    assert [row.voice for row in (other, earlier, later)] == ["ready"] * 3
    with context.database.transaction() as connection:
        made = threads.get(connection, later.thread_id, "carol")
    assert made is not None
    assert made.participants == ["alice", "bob", "carol"]
    assert (made.unread_count, made.unplayed_count, made.last_message_id) == (0, 0, later.id)
    assert sql(context, "SELECT type FROM events") == []


def test_the_work_waits_in_the_batch_lane(context: Context, archive: Archive, upload: Upload) -> None:
    archive.add()
    brought(context, archive.manifest)
    live = upload("answer.webm")
    rows = sql(context, "SELECT message_id, lane FROM jobs WHERE queue = 'media'")
    assert {row.lane: row.message_id == live for row in rows} == {Lane.LIVE: True, Lane.BATCH: False}
    Drain(context, None)("media")
    assert sorted(row.lane for row in sql(context, "SELECT lane FROM jobs WHERE queue = 'speech'")) == [0, 1]


def test_the_same_archive_again_changes_nothing(context: Context, archive: Archive) -> None:
    archive.add()
    archive.add(file="answer.webm", external_id="a-2")
    archive.add()
    assert counts(brought(context, archive.manifest)) == (2, 1, 0, 0)
    assert counts(brought(context, archive.manifest)) == (0, 3, 0, 0)
    with working(context):
        assert counts(brought(context, archive.manifest, wait=True)) == (0, 3, 0, 0)
    assert len(stored(context)) == 2
    Reaper(context).sweep_intents()
    assert len(list(context.store.list(context.settings.storage.s3_prefix))) == 2 * 5


def test_two_recordings_of_one_content_at_two_times_are_two_messages(context: Context, archive: Archive) -> None:
    archive.add()
    archive.add(sent_at="2021-03-04T05:06:08Z")
    archive.add(sender="bob")
    assert counts(brought(context, archive.manifest)) == (3, 0, 0, 0)


def test_what_was_sent_here_under_its_external_id_is_there_already(
    context: Context, archive: Archive, upload: Upload, thread: str
) -> None:
    upload("late.ogg")
    sql(context, "UPDATE messages SET external_id = 'a-1'")
    archive.add(thread=thread, thread_external_id=None, external_id="a-1")
    archive.add(thread=thread, thread_external_id=None, external_id="a-1", sender="bob")
    assert counts(brought(context, archive.manifest)) == (1, 1, 0, 0)


def test_a_deleted_message_does_not_come_back(context: Context, archive: Archive) -> None:
    archive.add()
    brought(context, archive.manifest)
    sql(context, "UPDATE messages SET deleted_at = now()")
    assert counts(brought(context, archive.manifest)) == (0, 1, 0, 0)
    assert stored(context) == []


def test_bad_lines_are_told_with_their_numbers_and_stop_nothing(context: Context, archive: Archive) -> None:
    (archive.folder / "empty.ogg").touch()
    (archive.folder / "large.ogg").write_bytes(b"OggS" + bytes(context.settings.ingest.max_bytes))
    (archive.folder / "notes.txt").write_text("no recording")
    archive.add("{")
    archive.add("[]")
    archive.add("")
    archive.add(sender=None)
    archive.add(sent_at="2021-03-04T05:06:07")
    archive.add(sent_at="2999-01-01T00:00:00Z")
    archive.add(send_at="2021-03-04T05:06:07Z")
    archive.add(thread="old")
    archive.add(thread_external_id=None, thread="thr_" + "0" * 26)
    archive.add(file="empty.ogg")
    archive.add(file="large.ogg")
    archive.add(file="notes.txt")
    archive.add(file="nowhere.ogg")
    archive.add(file="\ud800.ogg")
    archive.add()
    archive.add('{"file": "' + "x" * 300_000 + '"}')
    report = brought(context, archive.manifest)
    assert counts(report) == (1, 0, 14, 0)
    assert {(trouble["line"], trouble["code"]) for trouble in report["troubles"]} == {
        *((line, "invalid_line") for line in (1, 2, 4, 5, 6, 7, 8, 14, 16)),
        *((line, "not_found") for line in (9, 13)),
        (10, "no_audio"),
        (11, "too_large"),
        (12, "unsupported_format"),
    }
    assert len(stored(context)) == 1


def test_what_does_not_play_is_taken_back_remembered_and_tried_again_when_asked(
    context: Context, archive: Archive
) -> None:
    (archive.folder / "bad.ogg").write_bytes(b"OggS" + bytes(2000))
    archive.add(file="bad.ogg")
    archive.add()
    with working(context):
        report = brought(context, archive.manifest, wait=True)
        assert counts(report) == (1, 0, 1, 0)
        assert [(trouble["line"], trouble["outcome"]) for trouble in report["troubles"]] == [(1, "refused")]
        assert [row.voice for row in stored(context)] == ["ready"]
        jobs_before = len(sql(context, "SELECT id FROM jobs"))
        again = brought(context, archive.manifest, wait=True)
        assert (counts(again), again["codes"]) == ((0, 1, 1, 0), report["codes"])
        assert len(sql(context, "SELECT id FROM jobs")) == jobs_before
        shutil.copy(SAMPLES / "answer.webm", archive.folder / "bad.ogg")
        archive.manifest.write_text("")
        archive.add(file="bad.ogg")
        assert counts(brought(context, archive.manifest, wait=True, retry_refused=True)) == (1, 0, 0, 0)
    assert sql(context, "SELECT type FROM events") == []


def test_a_refusal_by_external_id_can_be_tried_again(context: Context, archive: Archive) -> None:
    (archive.folder / "bad.ogg").write_bytes(b"OggS" + bytes(2000))
    archive.add(file="bad.ogg", external_id="b")
    brought(context, archive.manifest)
    Drain(context, None)("media")
    assert stored(context) == []
    assert counts(brought(context, archive.manifest)) == (0, 0, 1, 0)
    shutil.copy(SAMPLES / "answer.webm", archive.folder / "bad.ogg")
    assert counts(brought(context, archive.manifest)) == (0, 0, 1, 0)
    assert counts(brought(context, archive.manifest, retry_refused=True)) == (1, 0, 0, 0)


def test_no_more_wait_for_workers_than_was_said(context: Context, archive: Archive) -> None:
    for second in range(8):
        archive.add(sent_at=f"2021-03-04T05:06:{second:02}Z")
    waiting: list[int] = []

    def look(read: int) -> None:
        waiting.append(sql(context, "SELECT count(*) AS n FROM jobs WHERE state IN ('queued', 'running')")[0].n)

    with Report(dry_run=False) as report, working(context):
        Importer(context, source_of(archive.manifest, None, {}), Options(ahead=3), report, look).run()
    assert report.counts["imported"] == 8
    assert 0 < max(waiting) <= 3


def test_a_dry_run_changes_nothing_and_knows_what_is_there(context: Context, archive: Archive) -> None:
    archive.add()
    brought(context, archive.manifest)
    archive.add(file="answer.webm", thread_external_id="new")
    archive.add(file="nowhere.ogg")
    before = sql(context, "SELECT count(*) FROM threads"), len(stored(context)), sql(context, "SELECT * FROM intents")
    assert counts(brought(context, archive.manifest, dry_run=True)) == (1, 1, 1, 0)
    after = sql(context, "SELECT count(*) FROM threads"), len(stored(context)), sql(context, "SELECT * FROM intents")
    assert after == before


def test_a_limit_brings_so_many_new_ones_each_time(context: Context, archive: Archive) -> None:
    for second in range(5):
        archive.add(sent_at=f"2021-03-04T05:06:{second:02}Z")
    assert counts(brought(context, archive.manifest, limit=2)) == (2, 0, 0, 0)
    assert counts(brought(context, archive.manifest, limit=2)) == (2, 2, 0, 0)
    assert counts(brought(context, archive.manifest, limit=2)) == (1, 4, 0, 0)


def test_nobody_is_brought_back_into_a_thread_that_people_use(
    context: Context, archive: Archive, upload: Upload, thread: str
) -> None:
    upload("late.ogg")
    archive.add(thread=thread, thread_external_id=None, sender="dave")
    assert counts(brought(context, archive.manifest)) == (1, 0, 0, 0)
    with context.database.transaction() as connection:
        assert threads.members(connection, thread) == ["alice", "bob"]
        assert [row.sender_id for row in stored(context)] == ["dave", "alice"]


def test_what_an_erased_person_said_before_does_not_come_back(context: Context, archive: Archive) -> None:
    with context.database.transaction() as connection:
        people.request(connection, "alice")
    sql(context, "UPDATE user_erasures SET requested_at = '2022-01-01'")
    archive.add()
    archive.add(sender="bob", participants=["alice"])
    report = brought(context, archive.manifest)
    assert (counts(report), report["codes"]) == ((1, 0, 1, 0), {"erased": 1})
    assert [row.user_id for row in sql(context, "SELECT user_id FROM participants")] == ["bob"]
    archive.add(sent_at="2022-01-02T00:00:00Z")
    assert counts(brought(context, archive.manifest)) == (1, 1, 1, 0)


def test_a_folder_is_its_own_manifest(context: Context, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for name in ("berlin/late.ogg", "berlin/deeper/answer.webm", "lisbon/meeting.m4a", "alone.ogg", ".hidden/x.ogg"):
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / "late.ogg", archive / name)
        os.utime(archive / name, (1.6e9, 1.6e9))
    report = brought(context, archive, sender="alice")
    assert counts(report) == (3, 0, 1, 0)
    assert [trouble["file"] for trouble in report["troubles"]] == ["alone.ogg"]
    rows = stored(context)
    assert [(row.thread, row.external_id) for row in rows if row.thread == "lisbon"] == [
        ("lisbon", "lisbon/meeting.m4a")
    ]
    assert {row.created_at.timestamp() for row in rows} == {1.6e9}
    copy = shutil.copytree(archive, tmp_path / "copy", copy_function=shutil.copyfile)
    assert counts(brought(context, Path(copy), sender="alice")) == (0, 3, 1, 0)
    assert counts(brought(context, archive, sender="alice", thread="all"))[:2] == (4, 0)


def test_what_is_older_than_its_retention_is_worked_on_first(context: Context, archive: Archive) -> None:
    archive.add()
    brought(context, archive.manifest)
    let_go(context)
    Drain(context, None)("media")
    let_go(context)
    Drain(context, None)("speech")
    assert sql(context, "SELECT text FROM transcripts")[0].text
    assert sql(context, "SELECT original_key FROM voices")[0].original_key
    let_go(context)
    assert sql(context, "SELECT original_key FROM voices")[0].original_key is None


def let_go(context: Context) -> None:
    for name in ("originals", "speech_audio"):
        with context.database.transaction() as connection:
            retention.STEPS[name](connection, timedelta(days=1), "")


def test_nobody_is_told_that_an_imported_one_failed_but_the_import(context: Context, archive: Archive) -> None:
    archive.add()
    brought(context, archive.manifest)
    sql(context, "UPDATE jobs SET attempts = :n", n=jobs.MAX_FAILURES - 1)
    with context.database.transaction() as connection:
        [job] = jobs.claim(connection, "media", lane=None, limit=1, lease_s=3, worker="w")
    failures.settle(context, job, RuntimeError("a bug"))
    report = brought(context, archive.manifest)
    assert (counts(report), report["codes"]) == ((0, 0, 0, 1), {"processing_failed": 1})
    assert sql(context, "SELECT type FROM events") == []


def test_two_imports_of_one_archive_at_once_bring_everything_once(context: Context, archive: Archive) -> None:
    for second in range(30):
        archive.add(sent_at=f"2021-03-04T05:06:{second:02}Z", thread_external_id=f"thread-{second % 3}")
    with ThreadPoolExecutor(2) as both:
        reports = list(both.map(lambda _: brought(context, archive.manifest), range(2)))
    assert [report["imported"] + report["already_there"] for report in reports] == [30, 30]
    assert sum(report["imported"] for report in reports) == 30
    assert len(stored(context)) == 30


@pytest.mark.timeout(300)
def test_an_import_that_is_killed_again_and_again_brings_everything_once(
    context: Context, archive: Archive, start: Start
) -> None:
    for number in range(60):
        archive.add(
            file=("late.ogg", "answer.webm")[number % 2],
            sent_at=f"2021-03-04T05:{59 - number:02}:00Z",
            thread_external_id=f"thread-{number % 3}",
            external_id=f"n-{number}" if number % 4 == 0 else None,
        )

    def there() -> int:
        return int(sql(context, "SELECT count(*) AS n FROM messages")[0].n)

    for enough in (5, 25):
        killed = start("import", str(archive.manifest), "--no-wait")
        wait_until(lambda enough=enough: there() >= enough, killed)  # type: ignore[misc]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
    partial = there()
    last = start("import", str(archive.manifest), "--no-wait", "--json")
    assert last.wait(120) == 0, last.last_words()
    assert partial < 60
    rows = stored(context)
    assert len(rows) == 60
    for name in {row.thread for row in rows}:
        times = [row.created_at for row in rows if row.thread == name]
        assert times == sorted(times)
    # What a killed one had put and not kept is swept when its intents run out.
    sql(context, "UPDATE intents SET expires_at = now() - interval '1 s'")
    Reaper(context).sweep_intents()
    assert len(list(context.store.list(context.settings.storage.s3_prefix))) == 60


def test_the_command_tells_in_json_and_by_its_status(context: Context, archive: Archive, start: Start) -> None:
    archive.add()
    archive.add(file="nowhere.ogg")
    process = start("import", str(archive.manifest), "--no-wait", "--json")
    assert process.wait(60) == 1
    words = process.last_words()
    report = json.loads(words[words.index("{") : words.rindex("}") + 1])
    assert {name: report[name] for name in COUNTS} == {
        "imported": 1,
        "already_there": 0,
        "refused": 1,
        "failed": 0,
    }
    assert [(trouble["line"], trouble["code"]) for trouble in report["troubles"]] == [(2, "not_found")]
