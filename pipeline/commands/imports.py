"""`earshot import`: an archive of recordings into the store."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.errors import UserError
from pipeline.commands.stack_settings import DEFAULT_DATA_DIR, DataDir, join_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.importing.report import Report
    from pipeline.importing.sources import Folder, Manifest


def import_archive(
    source: Annotated[Path, typer.Argument(exists=True, readable=True, help="A manifest (JSON Lines) or a folder.")],
    thread: Annotated[str | None, typer.Option(help="Thread of what names none: its id or external id.")] = None,
    sender: Annotated[str | None, typer.Option(help="Sender of what names none; a folder needs it.")] = None,
    participant: Annotated[list[str] | None, typer.Option(help="Who else is in the threads; repeatable.")] = None,
    language: Annotated[str | None, typer.Option(help="What is spoken where nothing else is said.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Bring at most so many new recordings.")] = None,
    ahead: Annotated[int, typer.Option(min=1, max=10_000, help="How many may wait for workers at a time.")] = 200,
    dry_run: Annotated[bool, typer.Option(help="Check and count, change nothing, decode nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Until workers have found out which recordings play.")] = True,
    retry_refused: Annotated[bool, typer.Option(help="Try again what an earlier import found unplayable.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Bring an archive of recordings into the store, in the batch lane. Run it again and it goes on where it was.

    Exits with 1 when a line was refused or failed; the report says which and why.
    """
    from pipeline.context import assemble
    from pipeline.importing.importer import Importer, Options
    from pipeline.importing.report import Report
    from pipeline.importing.sources import source_of
    from storage.errors import StorageFull, StorageUnavailable

    join_stack(data_dir)
    defaults = {"sender": sender, "participants": participant, "language": language}
    archive = source_of(source, thread, {name: value for name, value in defaults.items() if value})
    options = Options(ahead, limit, dry_run, wait, retry_refused)
    context = assemble()
    with Report(dry_run=dry_run) as report, _progress(archive, report) as tell:
        importer = Importer(context, archive, options, report, lambda read: tell(read, len(importer.watch)))
        try:
            importer.run()
        except KeyboardInterrupt:
            report.interrupted = True
        except (StorageUnavailable, StorageFull) as error:
            report.interrupted = True
            raise UserError(f"{error}; run it again and it goes on where it was") from error
        finally:
            context.close()
            tell(None, 0)
            (report.write_json if as_json else report.write_text)(sys.stdout)
    raise typer.Exit(130 if report.interrupted else 0 if report.is_clean else 1)


@contextmanager
def _progress(archive: "Manifest | Folder", report: "Report") -> "Iterator[Callable[[int | None, int], None]]":
    """A bar over the manifest's bytes, since nobody knows how many lines it has; a folder only counts."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[told]}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=archive.size, told="", rate="0.0")

        def tell(read: int | None, waiting: int) -> None:
            if read is None:
                return progress.stop()
            counts: Any = report.counts
            told = f"{counts['imported']} imported, {counts['already_there']} there, {counts['refused']} refused"
            if waiting:
                told += f", {waiting} wait for workers"
            elapsed = progress.tasks[0].elapsed or 0
            rate = f"{counts['imported'] / elapsed:.1f}" if elapsed else "0.0"
            progress.update(task, completed=read, told=told, rate=rate)

        yield tell
