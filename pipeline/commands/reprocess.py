"""Transcribing or transcoding stored messages again, through the API of a running deployment."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.errors import Unavailable
from pipeline.commands.stack_settings import DEFAULT_DATA_DIR, DataDir

if TYPE_CHECKING:
    from pipeline.commands.http_client import Client

app = typer.Typer(help="Transcribe or transcode stored messages again.", no_args_is_help=True)
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, rep_….")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
_OPERATOR = "operator"
_POLL_S = 1.0
# An API that is silent for longer needs somebody to look at it.
_PATIENCE_S = 600
_ENDED = ("completed", "cancelled", "reverted")


class Policy(StrEnum):
    if_not_worse = "if-not-worse"
    always = "always"


class State(StrEnum):
    completed = "completed"
    no_speech = "no_speech"
    failed = "failed"


CurrentModel = Annotated[str | None, typer.Option(help="Only texts that this model made.")]
CurrentVersion = Annotated[str | None, typer.Option(help="Only texts that these weights made: model_version.")]
CurrentLanguage = Annotated[str | None, typer.Option(help="Only texts in this language, such as en.")]
ConfidenceBelow = Annotated[float | None, typer.Option(help="Only texts with less confidence, 0 to 1.")]
CurrentState = Annotated[State | None, typer.Option("--state", help="Only transcripts in this state.")]
After = Annotated[str | None, typer.Option("--created-after", metavar="TIME", help="Only messages from then on; UTC.")]
Before = Annotated[str | None, typer.Option("--created-before", metavar="TIME", help="Only messages before; UTC.")]
Thread = Annotated[str | None, typer.Option(help="Only messages of this thread.")]
Sender = Annotated[str | None, typer.Option(help="Only messages of this person.")]
Ids = Annotated[Path | None, typer.Option(allow_dash=True, help="Only messages named in this file, an id a line.")]
DryRun = Annotated[bool, typer.Option(help="Only tell how much there is to do and how long it would take.")]
Rate = Annotated[float | None, typer.Option(help="At most so many messages a second.")]
Limit = Annotated[int | None, typer.Option(help="At most so many messages.")]
Wait = Annotated[bool, typer.Option(help="Show the progress until it is done; without, the run goes on by itself.")]


@app.command()
def transcribe(
    model: Annotated[str | None, typer.Option(help="The model to use; without, the one that the workers run.")] = None,
    language: Annotated[str | None, typer.Option(help="What is spoken, if known for all of them.")] = None,
    policy: Annotated[Policy, typer.Option(help="When a new text takes the old one's place.")] = Policy.if_not_worse,
    current_model: CurrentModel = None,
    current_version: CurrentVersion = None,
    current_language: CurrentLanguage = None,
    confidence_below: ConfidenceBelow = None,
    state: CurrentState = None,
    created_after: After = None,
    created_before: Before = None,
    thread: Thread = None,
    sender: Sender = None,
    ids: Ids = None,
    rate: Rate = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Transcribe stored messages again; the texts that there are stay as versions."""
    chosen = {
        "model": current_model,
        "model_version": current_version,
        "language": current_language,
        "confidence_below": confidence_below,
        "state": state and state.value,
        **_messages(created_after, created_before, thread, sender, ids),
    }
    target = {"model": model, "language": language, "policy": policy.value, "rate_per_s": rate, "limit": limit}
    _begin(data_dir, "transcribe", chosen, target, dry_run, wait)


@app.command()
def transcode(
    created_after: After = None,
    created_before: Before = None,
    thread: Thread = None,
    sender: Sender = None,
    ids: Ids = None,
    rate: Rate = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make the renditions of stored messages again from their originals; texts stay as they are."""
    chosen = _messages(created_after, created_before, thread, sender, ids)
    _begin(data_dir, "transcode", chosen, {"rate_per_s": rate, "limit": limit}, dry_run, wait)


@app.command("list")
def list_runs(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The latest runs."""
    from rich.console import Console

    from pipeline.commands.show_runs import runs_table

    with _operator(data_dir) as client:
        Console().print(runs_table(client.runs()))


@app.command()
def watch(run: RunId, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show a run's progress until it is done."""
    with _operator(data_dir) as client:
        _watch(client, client.run(run))


@app.command()
def pause(run: RunId, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Begin nothing more until the run is resumed."""
    _change(data_dir, run, "pause")


@app.command()
def resume(run: RunId, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Go on with a paused run."""
    _change(data_dir, run, "resume")


@app.command()
def cancel(run: RunId, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """End a run; what is done stays."""
    _change(data_dir, run, "cancel")


@app.command()
def revert(run: RunId, wait: Wait = True, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the texts again that were there before the run, except where somebody has changed them since."""
    with _operator(data_dir) as client:
        found = client.change_run(run, "revert")
        if wait:
            _watch(client, found)


@app.command()
def report(run: RunId, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """What became of a run's messages."""
    with _operator(data_dir) as client:
        found = client.run(run)
        if as_json:
            items = {name: list(client.run_items(run, name)) for name in ("failed", "refused", "left_alone")}
            typer.echo(json.dumps({**found, "items": items}, indent=1))
        else:
            _print_report(client, found)


def _messages(
    after: str | None, before: str | None, thread: str | None, sender: str | None, ids: Path | None
) -> dict[str, Any]:
    return {
        "created_after": _moment(after, "--created-after"),
        "created_before": _moment(before, "--created-before"),
        "thread_id": thread,
        "sender_id": sender,
        "ids": ids and _read_ids(ids),
    }


def _moment(given: str | None, option: str) -> str | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter("a time such as 2026-03-01 or 2026-03-01T12:00:00+01:00", param_hint=option) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _read_ids(path: Path) -> list[str]:
    from storage.ids import is_id

    try:
        content = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"can't read {path}: {error}", param_hint="--ids") from None
    named = {number: line.strip() for number, line in enumerate(content.splitlines(), 1) if line.strip()}
    wrong = next((number for number, text in named.items() if not is_id("msg", text)), None)
    if wrong is not None:
        raise typer.BadParameter(f"line {wrong} of {path} is not the id of a message", param_hint="--ids")
    if not named:
        raise typer.BadParameter(f"{path} names no message", param_hint="--ids")
    return list(named.values())


def _begin(
    data_dir: Path, kind: str, chosen: dict[str, Any], target: dict[str, Any], dry_run: bool, wait: bool
) -> None:
    from rich.console import Console

    from pipeline.commands.show_runs import estimate_text

    chosen = {name: value for name, value in chosen.items() if value is not None}
    body = {name: value for name, value in target.items() if value is not None}
    with _operator(data_dir) as client:
        found = client.begin_run({"kind": kind, "filter": chosen, "dry_run": dry_run, **body})
        if dry_run:
            Console().print(estimate_text(found))
        else:
            typer.echo(found["id"])
            if wait:
                _watch(client, found)


def _change(data_dir: Path, run_id: str, change: str) -> None:
    with _operator(data_dir) as client:
        typer.echo(f"{run_id} is {client.change_run(run_id, change)['state']}")


def _watch(client: "Client", run: dict[str, Any]) -> None:
    """Ctrl-C leaves the run to itself."""
    from pipeline.commands.show_runs import progress_bar, progress_of

    latest = run
    with progress_bar() as progress:
        task = progress.add_task("", **progress_of(run))
        try:
            for latest in _until_ended(client, run):
                progress.update(task, **progress_of(latest))
        except KeyboardInterrupt:
            progress.stop()
            typer.echo(f"the run goes on: earshot reprocess watch {run['id']}, or cancel it")
            return
    _print_report(client, latest)
    raise typer.Exit(1 if latest["failed"] else 0)


def _until_ended(client: "Client", run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every second what the run is like, through outages of the API: the run goes on behind them."""
    heard_at = time.monotonic()
    while run["state"] not in _ENDED:
        time.sleep(_POLL_S)
        try:
            run = client.run(run["id"])
            heard_at = time.monotonic()
        except Unavailable as error:
            if time.monotonic() - heard_at > _PATIENCE_S:
                raise
            run = {**run, "problem": str(error)}
        yield run


def _print_report(client: "Client", run: dict[str, Any]) -> None:
    from itertools import islice

    from rich.console import Console

    from pipeline.commands.show_runs import EXAMPLES, items_table, report_table

    console = Console()
    console.print(report_table(run))
    for outcome in ("failed", "refused"):
        if run[outcome]:
            console.print(items_table(outcome, islice(client.run_items(run["id"], outcome), EXAMPLES), run[outcome]))


def _operator(data_dir: Path) -> "Client":
    from pipeline.commands.http_client import Client

    return Client.from_data_dir(data_dir, _OPERATOR, scope="admin")
