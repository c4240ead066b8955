"""Messages on a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

_COLOURS = {"ready": "green", "completed": "green", "rejected": "red", "failed": "red", "no_speech": "yellow"}


def message_table(messages: Iterable[dict[str, Any]]) -> Table:
    """State, duration, loudness, language and words of each voice message."""
    table = Table(show_lines=True, expand=True)
    for heading in ("from", "state", "length", "loudness", "language"):
        table.add_column(heading, no_wrap=True)
    table.add_column("transcript", ratio=1)
    for message in messages:
        table.add_row(*_row(message))
    return table


def _row(message: dict[str, Any]) -> list[Text]:
    voice = message["voice"]
    transcript = voice["transcript"] or {}
    loudness = voice["loudness_lufs"]
    return [
        Text(message["sender_id"]),
        _state(voice["state"]),
        Text("" if voice["duration_ms"] is None else f"{voice['duration_ms'] / 1000:.2f} s"),
        Text("" if loudness is None else f"{loudness:.1f} LUFS"),
        Text(_language(transcript)),
        _words(voice, transcript),
    ]


def _state(state: str) -> Text:
    return Text(state, style=_COLOURS.get(state, ""))


def _language(transcript: dict[str, Any]) -> str:
    if not transcript.get("language"):
        return ""
    return f"{transcript['language']} {transcript['language_probability'] or 0:.0%}"


def _words(voice: dict[str, Any], transcript: dict[str, Any]) -> Text:
    if voice["error"]:
        return Text(f"{voice['error']['code']}: {voice['error']['message']}", style="red")
    if transcript.get("state") != "completed":
        return _state(transcript.get("state", ""))
    words = Text(transcript["text"])
    if transcript["model"] == "micro":
        words.append("  (demo transcript: micro)", style="dim")
    return words
