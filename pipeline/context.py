"""What a worker or the reaper works with, assembled in one place."""

import os
import socket
import threading
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.leases import LeaseKeeper
from pipeline.rings import Ringer
from pipeline.settings import Settings
from storage.database import Database
from storage.objects import ObjectStore
from transcribe import Engine, load_engine, resolve_model


@dataclass
class Context:
    """Connects to nothing until it is used."""

    settings: Settings
    database: Database
    store: ObjectStore
    ringer: Ringer
    leases: LeaseKeeper
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    stopping: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def engine(self) -> Engine:
        """Loaded at first use. Raises ModelError, also for the demo model in production."""
        settings = self.settings.transcribe
        allow_micro = settings.allow_micro or self.settings.pipeline.deployment == "local"
        resolve_model(settings.model, allow_micro=allow_micro)
        return load_engine(settings)

    def close(self) -> None:
        self.leases.close()
        self.ringer.close()
        self.database.close()


def assemble(settings: Settings | None = None) -> Context:
    settings = settings or Settings()
    database = Database(settings.storage.database_url)
    return Context(
        settings=settings,
        database=database,
        store=ObjectStore(settings.storage),
        ringer=Ringer(settings.pipeline.broker_url),
        leases=LeaseKeeper(database, settings.pipeline.lease_s),
    )
