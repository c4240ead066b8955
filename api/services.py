"""What the routes work with, assembled once and reached through the request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.auth import Verifier
from api.measurements import Queues, Requests
from api.settings import ApiSettings
from ingest.direct import Direct
from ingest.executor import Executor
from ingest.finishing import Finisher
from ingest.keys import Keys
from ingest.quota import Quota
from ingest.recent import Recent
from ingest.resumable import Resumable
from ingest.settings import IngestSettings
from ingest.short import ShortIntake
from ingest.voice import Intake
from pipeline.playback import PlaybackSettings, PresignedPlayback, ProxiedPlayback, make_playback
from pipeline.render import Renderer
from storage.database import Database
from storage.jobs import Queue
from storage.objects import ObjectStore
from storage.settings import StorageSettings
from transcode import TranscodeSettings


@dataclass(frozen=True)
class Services:
    """`direct` is None where clients can't reach S3. `ring` never blocks; `ping_broker` raises when it is away."""

    api: ApiSettings
    ingest: IngestSettings
    transcode: TranscodeSettings
    storage: StorageSettings
    database: Database
    store: ObjectStore
    playback: PresignedPlayback | ProxiedPlayback
    renderer: Renderer
    intake: Intake
    short_intake: ShortIntake
    keys: Keys
    resumable: Resumable
    direct: Direct | None
    verifier: Verifier
    ring: Callable[[Queue], None]
    ping_broker: Callable[[], None]
    requests: Requests
    executor: Executor

    def close(self) -> None:
        self.executor.close()
        self.resumable.close()
        self.intake.close()
        self.store.close()
        self.database.close()


def make_services(
    *,
    api: ApiSettings,
    ingest: IngestSettings,
    transcode: TranscodeSettings,
    storage: StorageSettings,
    playback: PlaybackSettings,
    ring: Callable[[Queue], None],
    ping_broker: Callable[[], None],
) -> Services:
    """Connects to nothing."""
    # Clients that play from S3 reach it; others only where its address for them is known.
    reachable = playback.playback == "presigned" or storage.s3_public_url is not None
    database, store = Database(storage.database_url), ObjectStore(storage)
    player = make_playback(playback, store)
    quota, executor = Quota(ingest), Executor(api.upload_threads)
    intake = Intake(database, store, storage.s3_prefix, quota)
    recent = Recent()
    finisher = Finisher(database, intake, recent, ring)
    requests = Requests()
    requests.registry.register(Queues(database))
    return Services(
        api=api,
        ingest=ingest,
        transcode=transcode,
        storage=storage,
        database=database,
        store=store,
        playback=player,
        renderer=Renderer(player),
        intake=intake,
        short_intake=ShortIntake(database, store, intake, quota, executor),
        keys=Keys(database),
        resumable=Resumable(database, finisher, recent, quota, executor),
        direct=Direct(database, store, intake, quota, prefix=storage.s3_prefix, ring=ring) if reachable else None,
        verifier=Verifier(api),
        ring=ring,
        ping_broker=ping_broker,
        requests=requests,
        executor=executor,
    )


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def _services(request: Request) -> Services:
    """As a dependency: one that is no coroutine would be called in a thread."""
    return services(request)


Here = Annotated[Services, Depends(_services)]
