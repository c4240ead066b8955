"""The embedded stack: everything on this machine, from wheels."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.stack_settings import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from pipeline.embedded import StackInfo

DataDir = Annotated[Path, typer.Option(help="Where everything is kept.")]
Host = Annotated[str, typer.Option(help="Address of the API.")]
Port = Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")]
Model = Annotated[
    str,
    typer.Option(
        help="Whisper model: a name (fetched when it is not here), a path, or auto (a fetched one before micro)."
    ),
]
DEFAULT_PORT = 8300
_TOKEN_S = 30 * 24 * 3600


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = "127.0.0.1",
    port: Port = DEFAULT_PORT,
    model: Model = "auto",
    user: Annotated[str, typer.Option(help="Who is signed in by the address that is printed.")] = "alice",
) -> None:
    """Run the whole stack until Ctrl-C."""
    from pipeline import embedded

    fetch_where_missing(model)

    def ready(stack: "StackInfo") -> None:
        typer.echo(f"ready {stack.url}")
        typer.echo(f"open {page_address(stack, user)}")
        sys.stdout.flush()

    sys.exit(embedded.run(data_dir, host=host, port=port, model=model, ready=ready))


def demo(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Port = DEFAULT_PORT,
    model: Model = "auto",
    leave: Annotated[bool, typer.Option("--exit", help="Stop when the recordings are through.")] = False,
) -> None:
    """Start the stack, send the sample recordings, show what becomes of them."""
    from pipeline import embedded
    from pipeline.commands import showcase

    fetch_where_missing(model)
    status = 1

    def ready(stack: "StackInfo") -> bool:
        nonlocal status
        status = 0 if showcase.run(data_dir) else 1
        typer.echo(f"open {page_address(stack, showcase.USERS[0])}")
        typer.echo("" if leave else "Ctrl-C stops everything; what was stored stays.")
        sys.stdout.flush()
        return not leave

    stopped = embedded.run(data_dir, host="127.0.0.1", port=port, model=model, ready=ready)
    sys.exit(status or stopped)


def fetch_where_missing(model: str) -> None:
    """So that the worker finds the model that is named. Raises ModelError, before anything is started."""
    from transcribe import ModelError, fetch_model, resolve_model

    name = model if model != "auto" else os.environ.get("EARSHOT_MODEL", "auto")
    if name in ("auto", "micro", ""):
        return
    try:
        resolve_model(name)
    except ModelError as error:
        if error.code != "model_missing":
            raise
        typer.echo(f"fetching {name}", err=True)
        fetch_model(name)


def page_address(stack: "StackInfo", user: str) -> str:
    """The page's address, signed in."""
    from pipeline.tokens import sign

    return f"{stack.url}/#token={sign(stack.jwt_secret, user, seconds=_TOKEN_S)}"
