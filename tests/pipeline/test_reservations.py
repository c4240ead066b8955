"""What was put by a reservation and came to nothing is deleted, and a message that was forgotten is not."""

import time
from pathlib import Path

import pytest

from pipeline import sweeping
from pipeline.context import Context
from pipeline.reaper import Reaper
from storage.ids import beginnings, new_id, randomness_of
from storage.keys import message_prefix, object_key
from tests.pipeline.conftest import Upload, sql


def put(context: Context, message_id: str, kind: str = "original") -> str:
    key = object_key(context.settings.storage.s3_prefix, message_id, kind, "0" * 64, "m4a")
    context.store.put(key, b"x", size=1, content_type="audio/mp4")
    return key


def reserve(context: Context, expires: str, since: float = 0.0) -> str:
    """The id of a message whose slot expires then, an interval from now, made so many seconds after its reservation."""
    now = time.time()
    message_id = new_id("msg", now)
    sql(
        context,
        "INSERT INTO reservations (slot, since, expires_at) VALUES (:slot, :since, now() + CAST(:expires AS interval))",
        slot=randomness_of(message_id),
        since=now - since,
        expires=expires,
    )
    return message_id


def left(context: Context) -> tuple[int, int]:
    """Reservations, and prefixes that are still to be emptied."""
    return (
        len(sql(context, "SELECT * FROM reservations")),
        len(sql(context, "SELECT * FROM erasures WHERE NOT emptied")),
    )


def tick(context: Context) -> None:
    reaper = Reaper(context)
    reaper.sweep_reservations()
    reaper.erase()


def test_one_that_ran_out_unused_is_forgotten(context: Context) -> None:
    for _ in range(3):
        reserve(context, "-1 s")
    tick(context)
    assert left(context) == (0, 0)
    assert sql(context, "SELECT * FROM erasures") == []


@pytest.mark.parametrize("since", [0, 0.7, 1.3, 2])
def test_what_was_put_by_one_that_ran_out_is_deleted_and_looked_for_again(context: Context, since: float) -> None:
    message_id = reserve(context, "-1 s", since)
    others = [put(context, new_id("msg")), put(context, reserve(context, "1 h"))]
    put(context, message_id)
    tick(context)
    prefix = message_prefix(context.settings.storage.s3_prefix, message_id)
    assert list(context.store.list(prefix)) == []
    put(context, message_id)
    sql(context, "UPDATE erasures SET run_after = now(), settle_at = now() - interval '1 s'")
    tick(context)
    assert list(context.store.list(prefix)) == []
    assert sql(context, "SELECT * FROM erasures") == []
    assert all(context.store.head(key) is not None for key in others)


def test_ids_of_a_time_begin_with_what_is_looked_for() -> None:
    for since in (1_800_000_000.0, 1_800_000_000.999, 1_799_999_999.488):
        begins = beginnings("msg", since, since + 2)
        assert len(begins) <= 3
        assert all(any(new_id("msg", since + ms / 1000).startswith(each) for each in begins) for ms in range(2001))
        assert not any(new_id("msg", since + away).startswith(each) for away in (-1.1, 3.1) for each in begins)


def test_one_that_lives_is_left_alone_also_by_the_operators_sweep(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put(context, reserve(context, "1 h"))
    tick(context)
    monkeypatch.setattr(sweeping, "OLD", -sweeping.OLD)
    assert sweeping.sweep(context, force=True, dry_run=False).unknown == 0
    assert context.store.head(key) is not None
    assert left(context) == (1, 0)


def test_a_message_that_was_made_of_one_before_a_database_was_restored_stays(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    message_id = reserve(context, "-1 s")
    keys = [put(context, message_id, kind) for kind in ("original", "m4a")]
    tick(context)
    assert all(context.store.head(key) is not None for key in keys)
    assert left(context) == (0, 0)
    assert message_id in caplog.text


def test_what_ran_out_long_ago_is_not_acted_upon(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    key = put(context, reserve(context, "-2 h"))
    tick(context)
    assert context.store.head(key) is not None
    assert left(context) == (0, 0)
    assert "too old" in caplog.text


def test_a_reaper_that_is_away_from_the_store_forgets_nothing(context: Context, upload: Upload, tmp_path: Path) -> None:
    message_id = reserve(context, "-1 s")
    key = put(context, message_id)
    bucket = context.store._bucket
    context.store._bucket = "a-bucket-that-is-not-there"
    Reaper(context).tick()
    assert left(context) == (1, 0)
    context.store._bucket = bucket
    Reaper(context).tick()
    assert (left(context), context.store.head(key)) == ((0, 0), None)
