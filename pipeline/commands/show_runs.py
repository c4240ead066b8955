"""Runs on a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

EXAMPLES = 20
_OUTCOMES = ("changed", "unchanged", "refused", "left_alone", "failed", "deleted")
_STATES = {"completed": "green", "cancelled": "yellow", "reverted": "yellow", "paused": "yellow"}


def progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.fields[state]}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}", style="yellow"),
    )


def progress_of(run: dict[str, Any]) -> dict[str, Any]:
    """The fields of the bar's task."""
    note = f"{run['failed']} failed" if run["failed"] else ""
    return {
        "total": run["total"],
        "completed": run["reverted"] if run["state"] == "reverting" else run["done"],
        "state": run["state"],
        "rate": f"{run['rate_per_s']:.1f}/s",
        "left": f"{duration(run['eta_s'])} left" if run["eta_s"] else "",
        "note": run["problem"] or note,
    }


def estimate_text(estimate: dict[str, Any]) -> Text:
    about = "about " if estimate["total_estimated"] else ""
    text = Text(f"{about}{estimate['total']} messages, {estimate['audio_hours']:.2f} hours of audio")
    if estimate["eta_s"] is None:
        text.append("\nhow long it takes is not known: no worker has done such work lately")
    else:
        text.append(f"\nabout {duration(estimate['eta_s'])}")
    if estimate["workers"]:
        speed = f"{estimate['audio_hours_per_hour']:.0f} hours of audio an hour"
        text.append(f", as {estimate['workers']} worker(s) did {speed} on {estimate['measured_messages']} messages")
    return text


def runs_table(runs: Iterable[dict[str, Any]]) -> Table:
    # Narrow enough for a terminal of 80 columns.
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, width in (("run", 30), ("what", 14), ("state", 9), ("done", 11), ("left", 11)):
        table.add_column(heading, max_width=width, overflow="fold")
    for run in runs:
        left = duration(run["eta_s"]) if run["eta_s"] else ""
        table.add_row(run["id"], _what(run), _state(run["state"]), f"{run['done']} of {run['total']}", left)
    return table


def report_table(run: dict[str, Any]) -> Table:
    """How many messages came to what, with the reasons."""
    table = Table(title=f"{run['id']}: {_what(run)}, {run['state']}", title_justify="left")
    if run["problem"]:
        table.caption = f"some of it waits: {run['problem']}"
    table.add_column("messages", justify="right")
    table.add_column("outcome")
    table.add_column("reason")
    for outcome in _OUTCOMES:
        reasons = [each for each in run["reasons"] if each["outcome"] == outcome]
        if reasons:
            for each in reasons:
                table.add_row(str(each["messages"]), outcome, each["reason"])
        elif run[outcome]:
            table.add_row(str(run[outcome]), outcome, _words(run) if outcome == "changed" else "")
    table.add_row(f"{run['done']} of {run['total']}", "", "")
    if run["state"] in ("reverting", "reverted"):
        table.add_row(str(run["reverted"]), "reverted", "")
    if run["state"] == "reverted" and (kept := run["changed"] + run["unchanged"] - run["reverted"]):
        table.add_row(str(kept), "not reverted", "changed or deleted since")
    return table


def items_table(outcome: str, items: Iterable[dict[str, Any]], total: int) -> Table:
    title = f"{outcome}, the first {EXAMPLES} of {total}" if total > EXAMPLES else outcome
    table = Table(title=title, title_justify="left")
    for heading in ("message", "reason", "different words"):
        table.add_column(heading, no_wrap=True)
    for item in items:
        table.add_row(item["message_id"], item["reason"], str(item["words"]))
    return table


def duration(seconds: float) -> str:
    """`2 d 3 h`, `1 h 5 min`, `12 s`."""
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        if whole >= size:
            parts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(parts[:2]) or "0 s"


def _words(run: dict[str, Any]) -> str:
    return f"{run['words_changed']} words are different" if run["kind"] == "transcribe" else ""


def _what(run: dict[str, Any]) -> str:
    return f"{run['kind']} {run['model']}" if run["model"] else str(run["kind"])


def _state(state: str) -> Text:
    return Text(state, style=_STATES.get(state, ""))
