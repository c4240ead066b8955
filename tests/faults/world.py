"""The whole product as separate processes, with a proxy that misbehaves on command before each of its servers."""

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
from sqlalchemy import text

from pipeline.embedded import Stack, StackInfo, broker, postgres, s3
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from pipeline.tokens import sign
from storage.database import Database
from storage.objects import ObjectStore
from tests import stack
from tests.faults.proxy import Proxy

BUCKET = "earshot"
PREFIX = "messages"
# Short, so that a dead worker's jobs come back while somebody waits for them.
LEASE_S = 5
_PATIENCE_S = 15.0
# Nothing here loses its power, but what was committed must be with the system when the server is killed.
_KILLABLE = {**stack.HASTY, "synchronous_commit": "on"}


class Server:
    """One of the servers. Started by a thread that stays: its death signal hangs on that."""

    def __init__(self, port: int, start: Callable[[], Process], ready: Callable[[], bool]) -> None:
        self.port = port
        self.proxy = Proxy(port)
        self._start = start
        self._ready = ready
        self.start()

    def start(self) -> None:
        self._process = self._start()
        stack.wait_until(self._ready, self._process)

    def kill(self) -> None:
        self._process.ask_to_stop(signal.SIGKILL)
        self._process.end(patience_s=_PATIENCE_S)

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        self.proxy.close()
        self._process.ask_to_stop(signal.SIGINT)
        self._process.end(patience_s=_PATIENCE_S)


class World:
    """`database` and `store` reach the servers past their proxies. With `rabbitmq` that broker is used, behind the
    proxy; otherwise a Redis server of its own."""

    def __init__(self, folder: Path, *, rabbitmq: stack.RabbitMQ | None = None, **settings: str) -> None:
        self._folder = folder
        self._keys = (secrets.token_hex(8), secrets.token_hex(16))
        self._password = secrets.token_hex(16)
        self._settings = settings
        self._rabbitmq = rabbitmq
        self._port = free_port()
        self._product: Stack | None = None

    def __enter__(self) -> Self:
        (self._folder / "s3" / BUCKET).mkdir(parents=True)
        self.postgres = self._postgres()
        self.s3 = self._s3()
        self.redis = None if self._rabbitmq else self._redis()
        self.broker = Proxy(_port(self._rabbitmq.url)) if self._rabbitmq else self.redis.proxy
        self.database = Database(postgres.url(self.postgres.port, self._password))
        server = stack.S3(s3.url(self.s3.port), *self._keys)
        self.store = ObjectStore(stack.storage_settings(server, BUCKET))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mend()
        self.stop()
        self.database.close()
        for server in (self.redis, self.s3, self.postgres):
            if server is not None:
                server.close()
        self.broker.close()

    def start(self) -> None:
        """Starts the product: API, workers and reaper."""
        product = Stack(self._folder / "product", port=self._port, model="micro", environment=self._environment())
        self._product = product.__enter__()

    def stop(self) -> None:
        if self._product is not None:
            self._product.__exit__(None, None, None)
            self._product = None

    def restart_broker(self) -> None:
        """As after a crash."""
        server = self._rabbitmq or self.redis
        assert server is not None
        server.restart()

    def copy_database(self) -> None:
        self.postgres.kill()
        shutil.copytree(self._folder / "postgres", self._folder / "copy", symlinks=True)
        self.postgres.start()

    def restore_database(self) -> None:
        self.postgres.kill()
        shutil.rmtree(self._folder / "postgres")
        (self._folder / "copy").rename(self._folder / "postgres")
        self.postgres.start()

    def age_objects(self, days: float) -> None:
        then = time.time() - days * 24 * 3600
        for path in (self._folder / "s3" / BUCKET).rglob("*.*"):
            os.utime(path, (then, then))
        # The server remembers how old they were.
        self.s3.restart()

    @property
    def info(self) -> StackInfo:
        assert self._product is not None, "the product does not run"
        return self._product.info

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        return (self.postgres.proxy, self.s3.proxy, self.broker)

    @property
    def broker_url(self) -> str:
        """Of the broker itself, past its proxy."""
        if self._rabbitmq:
            return self._rabbitmq.url
        return broker.url(self.redis.port if self.redis else 0, self._password)

    def token(self, user: str, scope: str = "") -> str:
        return sign(self._secret, user, scope=scope)

    def mend(self) -> None:
        for proxy in self.proxies:
            proxy.mend()

    def pid(self, part: str) -> int:
        """Of api, media, speech or reaper; 0 while it is being started again."""
        parts: dict[str, Any] = json.loads((self._folder / "product" / "stack.json").read_text())["parts"]
        pid = int(parts[part]["pid"])
        with suppress(psutil.NoSuchProcess):
            return 0 if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else pid
        return 0

    def signal(self, part: str, number: signal.Signals) -> None:
        if pid := self.pid(part):
            os.kill(pid, number)

    def log(self, part: str) -> str:
        return (self._folder / "product" / "logs" / f"{part}.log").read_text(errors="replace")

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.database.transaction() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    @property
    def _secret(self) -> str:
        kept = json.loads((self._folder / "product" / "secrets.json").read_text())
        return str(kept["jwt_secret"])

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
        real, proxied = _port(self.broker_url), self.broker.port
        return {
            **clean,
            "EARSHOT_DATABASE_URL": postgres.url(self.postgres.proxy.port, self._password),
            "EARSHOT_BROKER_URL": self.broker_url.replace(f":{real}/", f":{proxied}/"),
            "EARSHOT_S3_ENDPOINT_URL": s3.url(self.s3.proxy.port),
            "EARSHOT_S3_BUCKET": BUCKET,
            "EARSHOT_PLAYBACK": "proxied",
            "EARSHOT_LEASE_S": str(LEASE_S),
            "EARSHOT_WEBHOOK_ALLOW_LOOPBACK": "true",
            "AWS_ACCESS_KEY_ID": self._keys[0],
            "AWS_SECRET_ACCESS_KEY": self._keys[1],
            **self._settings,
        }

    def _postgres(self) -> Server:
        folder, log, port = self._folder / "postgres", self._folder / "postgres.log", free_port()
        postgres.create_cluster(folder, self._password, log, os.environ, sync=False)
        return Server(
            port,
            lambda: postgres.start(folder, port, log, os.environ, _KILLABLE),
            lambda: postgres.ready(port, self._password),
        )

    def _redis(self) -> Server:
        folder, log, port = self._folder / "redis", self._folder / "redis.log", free_port()
        return Server(
            port,
            lambda: broker.start(folder, port, self._password, log, os.environ),
            lambda: broker.ready(port, self._password),
        )

    def _s3(self) -> Server:
        folder, log, port = self._folder / "s3", self._folder / "s3.log", free_port()
        return Server(port, lambda: s3.start(folder, port, *self._keys, log, os.environ), lambda: s3.ready(port))


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])
