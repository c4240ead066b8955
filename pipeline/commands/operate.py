"""Looking after a deployment."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.stack_settings import DEFAULT_DATA_DIR, DataDir, join_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

jobs = typer.Typer(help="Jobs that wait, run or were given up.", no_args_is_help=True)
models = typer.Typer(help="Whisper models.", no_args_is_help=True)


@jobs.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="queued, held, running, done, dead or cancelled.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Newest first, one JSON object a line."""
    from storage import job_records

    join_stack(data_dir)
    with _transaction() as connection:
        for job in job_records.page(connection, state=state, limit=limit, after=None):
            typer.echo(json.dumps(job, default=str))


@jobs.command("retry")
def retry_jobs(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of dead jobs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead job.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give dead jobs a fresh start."""
    from pipeline import revival
    from pipeline.rings import Ringer
    from pipeline.settings import PipelineSettings

    if bool(ids) == everything:
        raise typer.BadParameter("name ids, or say --all")
    join_stack(data_dir)
    ringer = Ringer(PipelineSettings().broker_url)
    with _transaction() as connection:
        revived = revival.revive(connection, ids)
    for queue in sorted({job.queue for job in revived}):
        ringer.ring(queue)
    ringer.close()
    typer.echo(f"{len(revived)} jobs queued again")
    missing = len(set(ids or ()) - {job.id for job in revived})
    sys.exit(f"earshot: {missing} of these are no dead jobs" if missing else 0)


@models.command("list")
def list_models() -> None:
    """What is bundled or already fetched."""
    import transcribe

    for model in transcribe.list_models():
        typer.echo(model)


@models.command("fetch")
def fetch_model(name: Annotated[str, typer.Argument(help="Such as tiny, base, small, large-v3-turbo.")]) -> None:
    """Download a model from the hub into its cache."""
    import transcribe

    typer.echo(transcribe.fetch_model(name))


@models.command("check")
def check_model(
    name: Annotated[str, typer.Argument(help="Name or path of a model.")],
    audio: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Recordings, with .txt files or without.")],
) -> None:
    """Measure fitted against full context on your own recordings and say what to choose."""
    import transcribe

    typer.echo(transcribe.check_model(name, audio))


def sweep(
    force: Annotated[bool, typer.Option(help="Delete even when it is over 1 % of the objects.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only tell what would be deleted.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete objects that nothing refers to and that are older than 7 days."""
    from pipeline import sweeping
    from pipeline.context import assemble

    join_stack(data_dir)
    context = assemble()
    report = sweeping.sweep(context, force=force, dry_run=dry_run)
    context.close()
    typer.echo(report.describe())
    sys.exit(0 if report.carried_out or dry_run else 3)


def doctor(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Tell whether everything that Earshot needs is there and safe."""
    from pipeline import examination

    join_stack(data_dir)
    findings = examination.examine()
    for finding in findings:
        typer.echo(f"{finding.level:<7} {finding.subject}: {finding.detail}")
    sys.exit(1 if any(finding.level == "error" for finding in findings) else 0)


@contextmanager
def _transaction() -> "Iterator[Connection]":
    from storage.database import Database
    from storage.settings import StorageSettings

    database = Database(StorageSettings().database_url, pool_size=1)
    try:
        with database.transaction() as connection:
            yield connection
    finally:
        database.close()
