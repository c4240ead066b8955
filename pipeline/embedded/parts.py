"""What the embedded stack is made of, in the order of dependence: each tier needs those before it."""

import http.client
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.embedded import broker, postgres, s3
from pipeline.embedded.data_dir import Credentials, DataDir
from pipeline.embedded.environment import BUCKET, Ports, Replaced, for_servers
from pipeline.embedded.failures import PartFailed
from pipeline.embedded.process import Process

_MIGRATE_S = 120.0


@dataclass(frozen=True)
class Part:
    name: str
    start: Callable[[], Process]
    ready: Callable[[], bool]
    url: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    patience_s: float = 10.0


@dataclass(frozen=True)
class Plan:
    """How this stack's parts are started."""

    data: DataDir
    keys: Credentials
    ports: Ports
    replaced: Replaced
    host: str
    url: str
    environment: Mapping[str, str]

    def servers(self) -> list[Part]:
        chosen = []
        if not self.replaced.postgres:
            chosen.append(self._postgres())
        if not self.replaced.broker:
            chosen.append(self._redis())
        if not self.replaced.s3:
            chosen.append(self._s3())
        return chosen

    def prepare(self) -> None:
        """What the servers need on disk. Raises PartFailed."""
        if not self.replaced.postgres:
            log = self.data.log("postgres")
            postgres.create_cluster(self.data.postgres, self.keys.database_password, log, for_servers(self.data))
        if not self.replaced.s3:
            (self.data.objects / BUCKET).mkdir(mode=0o700, parents=True, exist_ok=True)

    def migrate(self) -> None:
        """Brings the database to this version's tables; raises PartFailed."""
        process = self._room("migrate", "migrate")
        try:
            status = process.wait(_MIGRATE_S)
        except TimeoutError as error:
            process.end(0)
            raise PartFailed(f"migrate: {error}") from error
        if status:
            raise PartFailed(f"migrate failed:\n{process.last_words()}")

    def rooms(self) -> list[Part]:
        listen = ["api", "--host", self.host, "--port", str(self.ports.api)]
        local = loopback_of(self.host)
        return [
            Part(
                "api",
                lambda: self._room("api", *listen),
                lambda: all(_answers(local, self.ports.api, path) for path in ("/healthz", "/readyz")),
                url=self.url,
                # It lets open requests end for 10 s.
                patience_s=15.0,
            ),
            self._worker("media"),
            self._worker("speech"),
            Part("reaper", lambda: self._room("reaper", "reaper"), _alive),
        ]

    def _postgres(self) -> Part:
        port, password = self.ports.postgres, self.keys.database_password
        folder, log = self.data.postgres, self.data.log("postgres")
        return Part(
            "postgres",
            lambda: postgres.start(folder, port, log, for_servers(self.data)),
            lambda: postgres.ready(port, password),
            url=postgres.url(port, password),
            # Its "fast" shutdown: ends sessions and leaves nothing to recover; SIGTERM would wait for every client.
            stop_signal=signal.SIGINT,
        )

    def _redis(self) -> Part:
        port, password = self.ports.broker, self.keys.broker_password
        folder, log = self.data.redis, self.data.log("redis")
        return Part(
            "redis",
            lambda: broker.start(folder, port, password, log, for_servers(self.data)),
            lambda: broker.ready(port, password),
            url=broker.url(port, password),
        )

    def _s3(self) -> Part:
        port, keys = self.ports.s3, (self.keys.s3_access_key, self.keys.s3_secret_key)
        folder, log = self.data.objects, self.data.log("s3")
        return Part(
            "s3",
            lambda: s3.start(folder, port, *keys, log, for_servers(self.data)),
            lambda: s3.ready(port),
            url=s3.url(port),
        )

    def _worker(self, queue: str) -> Part:
        start: Sequence[str] = ("worker", "--queues", queue)
        # It finishes what it can and hands the rest of its jobs back.
        return Part(queue, lambda: self._room(queue, *start), _alive, patience_s=20.0)

    def _room(self, name: str, *arguments: str) -> Process:
        # -P: a folder named like one of our rooms, where the user happens to be, is not ours.
        argv = [sys.executable, "-P", "-m", "pipeline", *arguments]
        return Process(argv, log=self.data.log(name), env=self.environment)


def loopback_of(host: str) -> str:
    """An address at which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound


def _alive() -> bool:
    """Whether a part is ready that shows nothing but its process, which the caller looks at itself."""
    return True


def _answers(host: str, port: int, path: str) -> bool:
    """Asks directly: a proxy that the user has set is not for this."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
