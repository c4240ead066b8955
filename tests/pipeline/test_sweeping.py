"""Objects that nothing refers to: reported, deleted when old, and never when there are too many of them."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline import sweeping
from pipeline.context import Context
from storage.ids import new_id
from storage.keys import object_key
from tests.pipeline.conftest import Upload, sql

Objects = Callable[[str], set[str]]


def put_orphan(context: Context) -> str:
    key = object_key(context.settings.storage.s3_prefix, new_id("msg"), "m4a", "0" * 64, "m4a")
    context.store.put(key, b"x", size=1, content_type="audio/mp4")
    return key


@pytest.fixture
def _everything_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "OLD", timedelta(seconds=-5))


def test_what_is_unknown_but_young_is_only_reported(context: Context, upload: Upload) -> None:
    upload(b"RIFF")
    orphan = put_orphan(context)
    report = sweeping.sweep(context, force=False, dry_run=False)
    assert (report.objects, report.unknown, report.doomed) == (2, 1, [])
    assert context.store.head(orphan) is not None


@pytest.mark.usefixtures("_everything_is_old")
def test_a_sweep_of_more_than_one_percent_stops_and_asks(context: Context, upload: Upload, objects: Objects) -> None:
    kept = upload(b"RIFF")
    orphan = put_orphan(context)
    refused = sweeping.sweep(context, force=False, dry_run=False)
    assert not refused.carried_out
    assert "--force" in refused.describe()
    assert context.store.head(orphan) is not None
    assert sweeping.sweep(context, force=True, dry_run=False).carried_out
    assert context.store.head(orphan) is None
    assert objects(kept) == {"original"}


@pytest.mark.usefixtures("_everything_is_old")
def test_a_database_restored_from_an_older_copy_costs_no_voice(
    context: Context, upload: Upload, objects: Objects
) -> None:
    forgotten = upload(b"RIFF")
    sql(context, "DELETE FROM messages")
    assert not sweeping.sweep(context, force=False, dry_run=False).carried_out
    assert objects(forgotten) == {"original"}


@pytest.mark.usefixtures("_everything_is_old")
def test_an_object_on_its_way_and_one_that_is_not_ours_are_left_alone(context: Context) -> None:
    orphan = put_orphan(context)
    foreign = f"{context.settings.storage.s3_prefix}/notes.txt"
    context.store.put(foreign, b"x", size=1, content_type="text/plain")
    sql(
        context,
        "INSERT INTO intents VALUES (:key, :message, now() + interval '1 h')",
        key=orphan,
        message=orphan.split("/")[1],
    )
    report = sweeping.sweep(context, force=True, dry_run=False)
    assert (report.unknown, report.foreign) == (0, 1)
    assert context.store.head(orphan) is not None
    assert context.store.head(foreign) is not None
