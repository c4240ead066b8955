"""`earshot sweep`: finds objects under our prefix that no row refers to.

They are reported, deleted only when older than 7 days, and never when they are more than 1 % of all objects: a
database restored from yesterday makes today's voices look like rubbish.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.context import Context
from storage import references
from storage.keys import parse_key
from storage.objects import ObjectInfo

OLD = timedelta(days=7)
MOST_SHARE = 0.01
_BATCH = 1000


@dataclass
class Report:
    """`foreign` are objects under our prefix whose keys we never make; they are only counted."""

    objects: int = 0
    unknown: int = 0
    foreign: int = 0
    doomed: list[str] = field(default_factory=list)
    carried_out: bool = True

    def describe(self) -> str:
        lines = [
            f"{self.objects} objects, {self.unknown} of them unknown to the database,"
            f" {len(self.doomed)} of those older than {OLD.days} days",
        ]
        if self.foreign:
            lines.append(f"{self.foreign} objects under our prefix have keys that are not ours: left alone")
        if not self.carried_out:
            lines.append(
                f"nothing deleted: this would delete more than {MOST_SHARE:.0%} of the objects. If the database was"
                " restored from a backup, these are recordings that it has forgotten. --force deletes them."
            )
        return "\n".join(lines)


def sweep(context: Context, *, force: bool, dry_run: bool) -> Report:
    report = Report()
    prefix = context.settings.storage.s3_prefix
    for found in _in_batches(context.store.list(f"{prefix}/")):
        _judge(context, prefix, found, report)
    report.carried_out = force or len(report.doomed) <= report.objects * MOST_SHARE
    if report.carried_out and not dry_run:
        context.store.delete(report.doomed)
    return report


def _in_batches(listed: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    while batch := [found for _, found in zip(range(_BATCH), listed, strict=False)]:
        yield batch


def _judge(context: Context, prefix: str, found: list[ObjectInfo], report: Report) -> None:
    report.objects += len(found)
    owners = {each.key: parsed.message_id for each in found if (parsed := parse_key(prefix, each.key))}
    report.foreign += len(found) - len(owners)
    with context.database.transaction() as connection:
        known = references.known(connection, owners)
    unknown = [each for each in found if each.key in owners and each.key not in known]
    report.unknown += len(unknown)
    report.doomed += [each.key for each in unknown if each.modified < datetime.now(UTC) - OLD]
