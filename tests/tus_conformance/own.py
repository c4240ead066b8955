"""API processes of our own on one database: any of them serves any request, and each may be killed."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin
from urllib.request import urlopen

import jwt

from pipeline.embedded.ports import free_port
from storage.objects import ObjectStore
from tests import stack

SECRET = secrets.token_hex(32)
IDLE_S = 2.0


def token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": time.time() + 3600}, SECRET, "HS256")


@dataclass
class Api:
    """One API, started again on the same port after it was killed; with several workers it can only be stopped."""

    port: int
    environment: dict[str, str]
    workers: int = 1
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "pipeline", "api", "--port", str(self.port)]
        command += ["--workers", str(self.workers)]
        self.process = subprocess.Popen(command, env={**os.environ, **self.environment})

    def ready(self) -> bool:
        assert self.process is not None, "it was not started"
        assert self.process.poll() is None, "the API ended"
        try:
            with urlopen(urljoin(self.url, "/readyz"), timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


@contextmanager
def running(
    s3: stack.S3, database_url: str, count: int = 2, workers: int = 1, **environment: str
) -> Iterator[list[Api]]:
    """That many APIs on one database and one bucket, ready. The broker is away, as it may be."""
    bucket = f"tus-{secrets.token_hex(6)}"
    ObjectStore(stack.storage_settings(s3, bucket)).ensure_bucket()
    shared = {
        "EARSHOT_DATABASE_URL": database_url,
        "EARSHOT_BROKER_URL": "redis://127.0.0.1:1/0",
        "EARSHOT_S3_ENDPOINT_URL": s3.endpoint_url,
        "EARSHOT_S3_BUCKET": bucket,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "EARSHOT_JWT_SECRET": SECRET,
        "EARSHOT_RATE_LIMITS": "off",
        "EARSHOT_UPLOAD_IDLE_S": str(IDLE_S),
        **environment,
    }
    apis = [Api(free_port(), shared, workers) for _ in range(count)]
    try:
        for api in apis:
            api.start()
        for api in apis:
            stack.wait_until(api.ready)
        yield apis
    finally:
        for api in apis:
            api.stop()
