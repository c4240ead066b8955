"""`earshot`: every command in one place; each imports what it needs when it runs."""

import logging
import os
import resource
import sys

import typer
from pydantic import ValidationError

from pipeline.commands import client, imports, local, operate, reprocess, serve
from pipeline.commands.errors import UserError
from storage.errors import StorageUnavailable
from transcode import JailError
from transcribe import ModelError

app = typer.Typer(
    name="earshot",
    help="A voice-message pipeline: upload, transcode, transcribe, play, read and search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    local.up,
    local.demo,
    serve.api,
    serve.worker,
    serve.reaper,
    serve.migrate,
    client.token,
    client.send,
    operate.sweep,
    operate.doctor,
):
    app.command()(command)
app.command("import")(imports.import_archive)
app.add_typer(operate.jobs, name="jobs")
app.add_typer(operate.models, name="models")
app.add_typer(reprocess.app, name="reprocess")
_STACK_HINT = " (or let --data-dir name the folder of a running `earshot up`)"


def main() -> None:
    logging.basicConfig(
        level=os.environ.get("EARSHOT_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # What these libraries tell at every step is not for the person at the terminal.
    for talkative in ("httpx", "alembic.runtime"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # An image of this process's memory holds voices and texts, and would stay where it fell.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        app()
    except ValidationError as error:
        sys.exit(_explain(error))
    except (UserError, ModelError, JailError, StorageUnavailable) as error:
        sys.exit(f"earshot: {error}")


def _explain(error: ValidationError) -> str:
    """Names the variable to set rather than the class that missed it."""
    lines = [f"earshot: the settings of {error.title} are not right:"]
    for problem in error.errors():
        name = "_".join(str(part) for part in problem["loc"]).upper() or error.title
        variable = name if name.startswith(("EARSHOT_", "AWS_")) else f"EARSHOT_{name}"
        hint = _STACK_HINT if variable == "EARSHOT_DATABASE_URL" and problem["type"] == "missing" else ""
        lines.append(f"  {variable}: {problem['msg']}{hint}")
    return "\n".join(lines)
