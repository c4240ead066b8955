"""The disk of the data directory fills up: people are told so, nothing is lost, and all goes on when there is room."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from pipeline.embedded.process import Process
from pipeline.tokens import sign
from storage.database import Database
from storage.objects import ObjectStore
from tests import stack
from tests.faults.checker import Table, check, settle
from tests.faults.load import Sender, Told, recording
from tests.faults.scale import OUTAGE_S, SEED
from tests.faults.world import BUCKET

MEBIBYTE = 1024 * 1024
# A small disk that only its own processes see, made without being root.
MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && mkdir "$2/tmp" && shift 2 && exec "$@"'
IN_NAMESPACE = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-c", MOUNT, "sh"]


@dataclass
class SmallDisk:
    """A product with all its servers on one disk; what the checker and its senders need of a world."""

    disk: Path
    url: str
    secret: str
    database: Database
    store: ObjectStore

    def token(self, user: str) -> str:
        return sign(self.secret, user)

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.database.transaction() as connection:
            return list(connection.execute(text(statement), values))

    def fill(self) -> None:
        with (self.disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(MEBIBYTE)):
                pass

    def make_room(self) -> None:
        (self.disk / "ballast").unlink()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    mount = tmp_path / "disk"
    mount.mkdir()
    tried = subprocess.run([*IN_NAMESPACE, "1m", mount, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this system lets nobody mount a small disk: {tried.stderr.strip()}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
    argv = [sys.executable, "-P", "-m", "pipeline", "up", "--data-dir", str(mount / "data"), "--port", "0"]
    settings = {"TMPDIR": str(mount / "tmp"), "EARSHOT_MODEL": "micro", "EARSHOT_LEASE_S": "5"}
    process = Process([*IN_NAMESPACE, "400m", str(mount), *argv], log=tmp_path / "up.log", env={**clean, **settings})
    try:
        # Seen from outside its namespace.
        disk = Path(f"/proc/{process.pid}/root") / mount.relative_to("/")
        stack.wait_until(lambda: "ready " in process.log.read_text(), process)
        with opened(disk) as found:
            yield found
    finally:
        process.ask_to_stop()
        process.end(patience_s=60)


@contextmanager
def opened(disk: Path) -> Iterator[SmallDisk]:
    told = json.loads((disk / "data" / "stack.json").read_text())
    settings = told["settings"]
    keys = settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
    store = ObjectStore(stack.storage_settings(stack.S3(settings["EARSHOT_S3_ENDPOINT_URL"], *keys), BUCKET))
    database = Database(settings["EARSHOT_DATABASE_URL"])
    yield SmallDisk(disk, told["url"], told["jwt_secret"], database, store)
    database.close()


@pytest.mark.fault(30)
@pytest.mark.timeout(600)
def test_a_full_disk(small: SmallDisk, tell: Callable[[Table], Table]) -> None:
    told = Told()
    with Sender(small.url, small.token("alice"), told) as sender:
        thread = sender.thread()
        sender.send(thread, recording(SEED))
        settle(small, told)
        # These are on their way through the workers when the disk fills up.
        for number in range(3):
            sender.send(thread, recording(SEED + 1 + number))
        small.fill()
        refused = [answer for answer in tries(sender, thread) if answer is not None and answer.status_code != 201]
        small.make_room()
        assert {answer.status_code for answer in refused} <= {503, 507}
        assert refused
        assert all(answer.json()["code"] in ("storage_full", "storage_unavailable") for answer in refused)
        sender.send(thread, recording(SEED + 9))
        sender.send_resumable(thread, recording(SEED + 10))
    settle(small, told)
    tell(check(small, told)).assert_whole()


def tries(sender: Sender, thread: str) -> Iterator[httpx.Response | None]:
    until, number = time.monotonic() + OUTAGE_S, SEED + 100
    while time.monotonic() < until:
        yield sender.try_once(thread, recording(number))
        number += 1
        time.sleep(0.2)
