"""What a worker or the reaper works with, assembled in one place."""

import os
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.leases import LeaseKeeper
from pipeline.rings import Ringer
from pipeline.settings import Settings
from storage.database import Database
from storage.objects import ObjectStore
from transcribe import Engine, load_engine, resolve_model

# As many models as a worker keeps loaded beside its own.
_OTHER_MODELS = 2
# How long a worker that stops goes on, of the ten seconds or more that whoever stops it will wait.
FINISH_S = 5.0


class Stopping(Exception):
    """The worker was told to stop, and what it has in hand takes too long."""


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
    _stopped_at: float | None = None
    _others: OrderedDict[str, Engine] = field(default_factory=OrderedDict)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def engine(self) -> Engine:
        """Loaded at first use. Raises ModelError, also for the demo model in production."""
        resolve_model(self.settings.transcribe.model, allow_micro=self.settings.may_use_micro)
        return load_engine(self.settings.transcribe)

    def engine_for(self, model: str | None) -> Engine:
        """The one that the worker runs, or that of a model that a run or a person asks for: loaded at first use, and
        kept until enough others were asked for. Raises ModelError."""
        if model is None:
            return self.engine
        with self._loading:
            self._others[model] = self._others.pop(model) if model in self._others else self._load(model)
            while len(self._others) > _OTHER_MODELS:
                # Not closed: a batch that was interrupted for this one may be using it.
                self._others.popitem(last=False)
            return self._others[model]

    def stop_in_time(self) -> None:
        """For those with long work in hand, now and then: raises Stopping when it is to be handed back, so that
        nobody has to wait until its leases run out."""
        if self.stopping.is_set():
            self._stopped_at = self._stopped_at or time.monotonic()
            if time.monotonic() - self._stopped_at > FINISH_S:
                raise Stopping

    def _load(self, model: str) -> Engine:
        wanted = resolve_model(model, allow_micro=self.settings.may_use_micro)
        if wanted.path == resolve_model(self.settings.transcribe.model).path:
            return self.engine
        return load_engine(self.settings.transcribe.model_copy(update={"model": model}))

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
