"""What the routes work with, assembled once and reached through the request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.auth import Verifier
from api.measurements import Queues, Requests
from api.settings import ApiSettings
from ingest.settings import IngestSettings
from ingest.voice import Intake
from pipeline.playback import PlaybackSettings, PresignedPlayback, ProxiedPlayback, make_playback
from pipeline.render import Renderer
from storage.database import Database
from storage.objects import ObjectStore
from storage.settings import StorageSettings


@dataclass(frozen=True)
class Services:
    """`ring` never blocks; `ping_broker` raises when the broker can't be reached."""

    api: ApiSettings
    ingest: IngestSettings
    storage: StorageSettings
    database: Database
    store: ObjectStore
    playback: PresignedPlayback | ProxiedPlayback
    renderer: Renderer
    intake: Intake
    verifier: Verifier
    ring: Callable[[str], None]
    ping_broker: Callable[[], None]
    requests: Requests


def make_services(
    *,
    api: ApiSettings,
    ingest: IngestSettings,
    storage: StorageSettings,
    playback: PlaybackSettings,
    ring: Callable[[str], None],
    ping_broker: Callable[[], None],
) -> Services:
    """Connects to nothing."""
    database, store = Database(storage.database_url), ObjectStore(storage)
    player = make_playback(playback, store)
    requests = Requests()
    requests.registry.register(Queues(database))
    return Services(
        api=api,
        ingest=ingest,
        storage=storage,
        database=database,
        store=store,
        playback=player,
        renderer=Renderer(player),
        intake=Intake(database, store, storage.s3_prefix),
        verifier=Verifier(api),
        ring=ring,
        ping_broker=ping_broker,
        requests=requests,
    )


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Here = Annotated[Services, Depends(_services)]
