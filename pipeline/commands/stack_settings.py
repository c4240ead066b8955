"""Which servers an operator's command talks to."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path, typer.Option(help="Folder of the embedded stack, used where the environment names nothing else.")
]
DEFAULT_DATA_DIR = Path("data")


def join_stack(data_dir: Path) -> None:
    """Where the environment names no database, takes the settings of the stack that runs from `data_dir`, if one does.

    What is missing without it is told by whoever needs it.
    """
    if os.environ.get("EARSHOT_DATABASE_URL"):
        return
    try:
        settings = json.loads((data_dir / "stack.json").read_text())["settings"]
    except (OSError, ValueError, KeyError):
        return
    for name, value in settings.items():
        os.environ.setdefault(name, value)
