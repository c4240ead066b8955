"""The long-running parts, each configured by the environment."""

import socket
import sys
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.commands.stack_settings import DEFAULT_DATA_DIR, DataDir, join_stack


class LaneChoice(StrEnum):
    live = "live"
    batch = "batch"
    both = "both"


def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8300,
    workers: Annotated[int, typer.Option(help="Processes that share the port.")] = 1,
) -> None:
    """Serve the HTTP API and the page."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(
        # Named as text: the API stands above this room and is not imported from here.
        "api.app:create_app",
        http="api.protocol:ProblemProtocol",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    if workers > 1:
        listener = config.bind_socket()
        # Inherited by every connection: asyncio sets it only on sockets of its own, and 40 ms are lost without.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Multiprocess(config, sockets=[listener]).run()
        return
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        raise typer.Exit(3)


def worker(
    queues: Annotated[str, typer.Option(help="media, speech or both, with a comma between.")] = "media,speech",
    lane: Annotated[LaneChoice, typer.Option(help="Which jobs to take.")] = LaneChoice.both,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Work on jobs until told to stop."""
    from pipeline import worker as worker_process
    from storage.jobs import QUEUES, Lane

    named = {name.strip() for name in queues.split(",") if name.strip()}
    chosen = [queue for queue in QUEUES if queue in named]
    if named - set(QUEUES) or not chosen:
        raise typer.BadParameter(f"the queues are {' and '.join(QUEUES)}", param_hint="--queues")
    join_stack(data_dir)
    lanes = {LaneChoice.live: Lane.LIVE, LaneChoice.batch: Lane.BATCH, LaneChoice.both: None}
    sys.exit(worker_process.run(chosen, lanes[lane]))


def reaper() -> None:
    """Take back the jobs of dead workers, ring for what is due, delete what nothing refers to."""
    from pipeline import reaper as reaper_process

    sys.exit(reaper_process.run())


def migrate() -> None:
    """Bring the database and the bucket to what this version needs."""
    from storage import migrate as migration
    from storage.database import Database
    from storage.objects import ObjectStore
    from storage.settings import StorageSettings

    settings = StorageSettings()
    database = Database(settings.database_url)
    typer.echo(f"database at revision {migration.migrate(database)}")
    database.close()
    ObjectStore(settings).ensure_bucket()
    typer.echo(f"bucket {settings.s3_bucket} is there")
