"""The whole embedded stack as its own process, killed and stopped in every way."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from pipeline.embedded import DataDirInUse, Stack
from storage.objects import ObjectStore
from storage.settings import StorageSettings
from tests.stack import wait_until

PROGRAM = """
import sys
from pathlib import Path
from pipeline.embedded import run
sys.exit(run(Path(sys.argv[1]), "127.0.0.1", 0, "micro", lambda info: print("ready", info.url, flush=True)))
"""
PARTS = ["postgres", "redis", "s3", "api", "media", "speech", "reaper"]


class Up:
    """`earshot up` without its command line."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "AWS_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, os.fspath(data_dir)],
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )

    def await_ready(self) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        assert said.startswith("ready http://127.0.0.1:"), said or self.logs()

    def known(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "stack.json").read_text()))

    def pids(self) -> dict[str, int]:
        return {name: part["pid"] for name, part in self.known()["parts"].items()}

    def settings(self) -> StorageSettings:
        told = self.known()["settings"]
        return StorageSettings.model_validate(
            {
                "database_url": told["EARSHOT_DATABASE_URL"],
                "s3_endpoint_url": told["EARSHOT_S3_ENDPOINT_URL"],
                "s3_bucket": told["EARSHOT_S3_BUCKET"],
                "s3_access_key": told["AWS_ACCESS_KEY_ID"],
                "s3_secret_key": told["AWS_SECRET_ACCESS_KEY"],
            }
        )

    def database(self) -> psycopg.Connection:
        url = self.settings().database_url.replace("postgresql+psycopg", "postgresql")
        return psycopg.connect(url, autocommit=True)

    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self.known()["settings"]["EARSHOT_BROKER_URL"])

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.known()['url']}/readyz", timeout=5) as answer:
                return bool(json.loads(answer.read()).get("degraded", []) == [])
        except OSError:
            return False

    def logs(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in (self.data_dir / "logs").glob("*.log"))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def processes_of(data_dir: Path) -> list[str]:
    """Everything that runs in the folder or was given what is in it."""
    marks = [os.fsencode(data_dir)]
    if (data_dir / "secrets.json").exists():
        marks.append(json.loads((data_dir / "secrets.json").read_text())["s3_secret_key"].encode())
    return [entry for entry in os.listdir("/proc") if entry.isdigit() and _bears(Path("/proc", entry), marks)]


def _bears(process: Path, marks: list[bytes]) -> bool:
    if int(process.name) == os.getpid():
        return False
    try:
        told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        told += os.fsencode(os.readlink(process / "cwd"))
    except OSError:
        return False
    return any(mark in told for mark in marks)


def nothing_runs(data_dir: Path) -> bool:
    return not processes_of(data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer than a Unix socket's path may be, with what paths may hold."""
    return tmp_path_factory.mktemp("stack") / "Ein Ordner – mit 'Zeichen'" / ("lang" * 30) / "data"


@pytest.fixture(scope="module")
def up(data_dir: Path) -> Iterator[Up]:
    running = Up(data_dir)
    running.await_ready()
    yield running
    running.close()
    wait_until(lambda: nothing_runs(data_dir))


@pytest.mark.timeout(300)
class TestAStack:
    """In this order, since a start costs seconds."""

    def test_tells_its_owner_what_runs(self, up: Up) -> None:
        known = up.known()
        assert list(known["parts"]) == PARTS
        assert known["pid"] == up.process.pid
        assert up.is_ready()
        for pid in up.pids().values():
            assert Path(f"/proc/{pid}").exists()

    def test_keeps_its_secrets_private(self, up: Up) -> None:
        assert stat.S_IMODE(up.data_dir.stat().st_mode) == 0o700
        for name in ("stack.json", "secrets.json", "redis/redis.conf"):
            assert stat.S_IMODE((up.data_dir / name).stat().st_mode) == 0o600
        secrets = json.loads((up.data_dir / "secrets.json").read_text()).values()
        for pid in processes_of(up.data_dir):
            command = Path("/proc", pid, "cmdline").read_text()
            assert not any(secret in command for secret in secrets)

    def test_listens_on_loopback_with_credentials(self, up: Up) -> None:
        url = up.settings().database_url
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace("postgresql+psycopg://earshot:", "postgresql://earshot:x"))
        port = up.known()["settings"]["EARSHOT_BROKER_URL"].rpartition(":")[2].partition("/")[0]
        with redis.Redis(port=int(port)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()

    def test_lets_no_second_one_in(self, up: Up) -> None:
        with pytest.raises(DataDirInUse, match=up.known()["url"]), Stack(up.data_dir, port=0):
            pass
        assert up.is_ready()

    @pytest.mark.parametrize("name", PARTS)
    def test_brings_back_what_is_killed_and_leaves_the_rest_alone(self, up: Up, name: str) -> None:
        before = up.pids()
        os.kill(before[name], signal.SIGKILL)
        wait_until(lambda: up.pids()[name] != before[name])
        wait_until(up.is_ready)
        now = up.pids()
        assert {other for other in PARTS if now[other] != before[other]} == {name}

    def test_keeps_its_state_when_all_of_it_is_killed(self, up: Up, data_dir: Path) -> None:
        store = ObjectStore(up.settings())
        with up.database() as connection, up.broker() as broker:
            connection.execute("CREATE TABLE kept AS SELECT 'durable' AS word")
            broker.set("kept", "durable")
        store.put("messages/kept", b"durable", size=7, content_type="audio/mp4")
        known = up.known()
        up.process.kill()
        wait_until(lambda: nothing_runs(data_dir))

        again = Up(data_dir)
        try:
            again.await_ready()
            assert {name: part["url"] for name, part in again.known()["parts"].items() if name != "api"} == {
                name: part["url"] for name, part in known["parts"].items() if name != "api"
            }
            with again.database() as connection, again.broker() as broker:
                assert connection.execute("SELECT word FROM kept").fetchone() == ("durable",)
                assert broker.get("kept") == b"durable"
            assert store.get("messages/kept").read() == b"durable"
            assert (data_dir / "logs" / "postgres.log.1").exists()

            os.killpg(again.process.pid, signal.SIGINT)
            assert again.process.wait(60) == 0
            assert nothing_runs(data_dir)
            assert not (data_dir / "stack.json").exists()
            assert "database system is shut down" in (data_dir / "logs" / "postgres.log").read_text()
        finally:
            again.close()

    def test_stops_while_it_is_starting(self, data_dir: Path) -> None:
        starting = Up(data_dir)
        try:
            wait_until(lambda: len(processes_of(data_dir)) > 1)
            os.killpg(starting.process.pid, signal.SIGTERM)
            assert starting.process.wait(60) == 0
            assert nothing_runs(data_dir)
        finally:
            starting.close()

    def test_says_why_it_can_not_start(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        done = subprocess.run([sys.executable, "-P", "-c", PROGRAM, tmp_path / "file"], capture_output=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.decode().startswith("earshot: the data folder")
