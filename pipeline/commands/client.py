"""Acting as one user against a running API."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.stack_settings import DEFAULT_DATA_DIR, DataDir


def token(
    user: Annotated[str, typer.Option(help="Whose token: the JWT's `sub`.")],
    scope: Annotated[str, typer.Option(help="admin, service, or both with a space between.")] = "",
    hours: Annotated[float, typer.Option(help="How long it is valid.")] = 12,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a bearer token, signed with EARSHOT_JWT_SECRET or the embedded stack's own secret."""
    from pipeline.tokens import sign, signing_secret

    typer.echo(sign(signing_secret(data_dir), user, scope=scope, seconds=hours * 3600))


def send(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The recording.")],
    thread: Annotated[str, typer.Option(help="Id of the thread to send it to.")],
    user: Annotated[str, typer.Option(help="Who sends it.")] = "alice",
    language: Annotated[str | None, typer.Option(help="What is spoken, e.g. en, if known.")] = None,
    wait_s: Annotated[float, typer.Option(help="How long to wait until it is ready and transcribed.")] = 60,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Upload a recording and show what became of it."""
    from rich.console import Console

    from pipeline.commands.http_client import Client
    from pipeline.commands.show import message_table

    with Client.from_data_dir(data_dir, user) as client:
        message = client.send_voice(thread, file, language=language)
        until = time.monotonic() + wait_s
        while not client.is_settled(message) and time.monotonic() < until:
            time.sleep(0.2)
            message = client.message(message["id"])
    Console().print(message_table([message]))
    raise typer.Exit(0 if client.is_settled(message) and message["voice"]["state"] == "ready" else 1)
