"""The pieces of the embedded stack, each with real processes but without the whole."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from pipeline.embedded import PartFailed, Stack, StartCancelled, broker, postgres, s3, undertaker, unprivileged
from pipeline.embedded.data_dir import Credentials, DataDir
from pipeline.embedded.environment import Ports, Replaced, for_rooms, for_servers
from pipeline.embedded.parts import Part
from pipeline.embedded.ports import free_port, is_free
from pipeline.embedded.process import Process
from pipeline.embedded.supervisor import Supervisor
from storage.database import Database
from storage.objects import ObjectStore
from tests.stack import S3, storage_settings, wait_until

KEYS = Credentials("db-password", "broker/password", "access", "secret", "jwt-secret", "playback-secret")
MEBIBYTE = 1024 * 1024
PORTS = Ports(postgres=1001, broker=1002, s3=1003, api=8300)


def shell(script: str, log: Path) -> Process:
    return Process(["/bin/sh", "-c", script], log=log, env={"PATH": os.environ["PATH"]})


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def stop_when(stopping: Event, condition: Callable[[], bool]) -> None:
    def wait() -> None:
        wait_until(condition)
        stopping.set()

    Thread(target=wait).start()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    made = DataDir(tmp_path / "data")
    with made.locked():
        yield made


class TestProcess:
    def test_leaves_no_child_behind(self, tmp_path: Path) -> None:
        process = shell("sleep 300 & sleep 300 & echo $!; wait", tmp_path / "log")
        wait_until(lambda: (tmp_path / "log").read_text() != "")
        child = int((tmp_path / "log").read_text())
        process.ask_to_stop()
        process.end(5)
        assert not undertaker.is_running(child)

    def test_kills_what_does_not_stop(self, tmp_path: Path) -> None:
        process = shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done", tmp_path / "log")
        wait_until(lambda: (tmp_path / "log").read_text() != "")
        process.ask_to_stop()
        process.end(0.3)
        assert process.exit_status() == -signal.SIGKILL

    def test_dies_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        program = (
            "import os, sys; from pathlib import Path; from pipeline.embedded.process import Process;"
            "print(Process(['sleep', '300'], log=Path(sys.argv[1]), env=os.environ).pid, flush=True);"
            "os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", program, tmp_path / "log"], stdout=subprocess.PIPE)
        wait_until(lambda: not undertaker.is_running(int(done.stdout)))


class TestSupervisor:
    @pytest.fixture
    def stopping(self) -> Event:
        return Event()

    def test_restarts_a_part_with_growing_pauses(
        self, tmp_path: Path, stopping: Event, caplog: pytest.LogCaptureFixture
    ) -> None:
        started: list[Process] = []

        def start() -> Process:
            started.append(shell("sleep 0.3" if not started else "exit 3", tmp_path / "log"))
            return started[-1]

        seen: list[dict[str, int]] = []
        supervisor = Supervisor(stopping, seen.append)
        supervisor.start([Part("brittle", start, lambda: True)])
        stop_when(stopping, lambda: len(seen) == 3)
        supervisor.watch()
        supervisor.stop()
        assert [pids["brittle"] for pids in seen] == [process.pid for process in started[1:]]
        told = [record.message.partition(" (")[0] for record in caplog.records]
        assert told[:3] == [
            "brittle ended with status 0; starting it again in 0.25 s",
            "brittle ended with status 3; starting it again in 0.5 s",
            "brittle ended with status 3; starting it again in 1 s",
        ]

    def test_starts_nothing_twice_because_a_full_disk_keeps_it_from_telling(
        self, tmp_path: Path, stopping: Event
    ) -> None:
        started: list[Process] = []
        refusals = iter([OSError(errno.ENOSPC, "full")] * 3)
        seen: list[int] = []

        def start() -> Process:
            started.append(shell("sleep 0.2" if not started else "sleep 300", tmp_path / "log"))
            return started[-1]

        def told(pids: dict[str, int]) -> None:
            for refusal in refusals:
                raise refusal
            seen.append(pids["part"])

        supervisor = Supervisor(stopping, told)
        supervisor.start([Part("part", start, lambda: True)])
        stop_when(stopping, lambda: bool(seen))
        supervisor.watch()
        supervisor.stop()
        assert seen == [started[1].pid]
        assert len(started) == 2

    def test_says_how_a_part_ended_that_never_was_ready(self, tmp_path: Path, stopping: Event) -> None:
        supervisor = Supervisor(stopping, lambda pids: None)
        part = Part("broken", lambda: shell("echo no such model; exit 4", tmp_path / "log"), lambda: False)
        with pytest.raises(PartFailed, match=r"broken ended with status 4[\s\S]*no such model"):
            supervisor.start([part])
        supervisor.stop()

    def test_stops_while_a_part_is_still_starting(self, tmp_path: Path, stopping: Event) -> None:
        supervisor = Supervisor(stopping, lambda pids: None)
        stopping.set()
        with pytest.raises(StartCancelled):
            supervisor.start([Part("slow", lambda: shell("sleep 300", tmp_path / "log"), lambda: False)])
        supervisor.stop()

    def test_stops_the_last_tier_first(self, tmp_path: Path, stopping: Event) -> None:
        def part(name: str) -> Part:
            script = f"trap 'echo {name} >> {tmp_path}/order; exit' TERM; echo up; while :; do sleep 0.02; done"
            log = tmp_path / name
            return Part(name, lambda: shell(script, log), lambda: log.read_text() != "")

        supervisor = Supervisor(stopping, lambda pids: None)
        for name in ("first", "second", "third"):
            supervisor.start([part(name)])
        supervisor.stop()
        assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]

    def test_replaces_a_killed_undertaker(self, tmp_path: Path, stopping: Event) -> None:
        supervisor = Supervisor(stopping, lambda pids: None)
        supervisor.start([Part("sleeper", lambda: shell("sleep 300", tmp_path / "log"), lambda: True)])
        first = supervisor._sessions._undertaker
        first.kill()
        stop_when(stopping, lambda: supervisor._sessions._undertaker != first)
        supervisor.watch()
        supervisor.stop()

    def test_undertaker_ends_sessions_that_ignore_everything(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        leader = subprocess.Popen(
            ["/bin/sh", "-c", f"(trap '' HUP TERM INT; echo $$ up > {log}; sleep 300) & sleep 0.3"],
            start_new_session=True,
        )
        wait_until(lambda: log.exists() and log.read_text() != "")
        leader.wait()
        program = [sys.executable, "-I", "-S", os.fspath(undertaker.__file__)]
        subprocess.run(program, input=f"+1\n+{leader.pid}\n-1\n".encode(), check=True, timeout=20)
        assert not undertaker._members(leader.pid)


class TestServers:
    def test_postgres_starts_over_a_stale_pid_file_of_another_program(self, data: DataDir) -> None:
        log, env, port = data.log("postgres"), for_servers(data), free_port()
        postgres.create_cluster(data.postgres, "secret", log, env, sync=False)
        # As after a reboot: the number in the file is somebody else's now.
        (data.postgres / "postmaster.pid").write_text(f"{os.getpid()}\n{data.postgres}\n0\n{port}\n\n127.0.0.1\n")
        process = postgres.start(data.postgres, port, log, env)
        wait_until(lambda: postgres.ready(port, "secret"), process)
        process.ask_to_stop(signal.SIGINT)
        process.end(10)
        assert process.exit_status() == 0

    def test_postgres_writes_of_a_slow_statement_not_what_it_was_about(self, data: DataDir) -> None:
        log, env, port = data.log("postgres"), for_servers(data), free_port()
        postgres.create_cluster(data.postgres, "secret", log, env, sync=False)
        process = postgres.start(data.postgres, port, log, env)
        wait_until(lambda: postgres.ready(port, "secret"), process)
        database = Database(postgres.url(port, "secret"))
        slow = text("SELECT pg_sleep(1.1), CAST(:said AS text), length(CAST(:heard AS bytea))")
        with database.reading() as connection:
            connection.execute(slow, {"said": "between us", "heard": b"a voice"})
        database.close()
        process.ask_to_stop(signal.SIGINT)
        process.end(patience_s=10)
        written = log.read_text()
        assert "pg_sleep" in written
        assert "between us" not in written
        assert b"a voice".hex() not in written

    def test_postgres_makes_its_cluster_again_after_a_killed_attempt(self, data: DataDir) -> None:
        unfinished = data.postgres.with_name("postgres.new")
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18")
        postgres.create_cluster(data.postgres, "secret", data.log("postgres"), for_servers(data), sync=False)
        assert (data.postgres / "global" / "pg_control").exists()
        assert not unfinished.exists()

    def test_postgres_refuses_the_cluster_of_another_version(self, data: DataDir) -> None:
        data.postgres.mkdir()
        (data.postgres / "PG_VERSION").write_text("16\n")
        with pytest.raises(PartFailed, match="PostgreSQL 16"):
            postgres.create_cluster(data.postgres, "secret", data.log("postgres"), for_servers(data))

    def test_postgres_says_what_to_do_when_root_gets_no_namespace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(PartFailed, match="EARSHOT_DATABASE_URL"):
            unprivileged.wrapper(Path("/bin/true"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away its identity")
    def test_postgres_of_root_runs_as_somebody_else(self, tmp_path: Path) -> None:
        script = tmp_path / "whoami"
        script.write_text("#!/bin/sh\nid -u\n")
        script.chmod(0o700)
        told = subprocess.run([*unprivileged.wrapper(script), script], capture_output=True, check=True)
        assert int(told.stdout) != 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
    def test_postgres_runs_for_a_user_without_a_name(self, data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
        def nobody_knows(uid: int) -> None:
            raise KeyError(uid)

        monkeypatch.setattr("pwd.getpwuid", nobody_knows)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert unprivileged.wrapper(Path("/bin/true"))[0] == "unshare"

    def test_redis_starts_over_a_truncated_file(self, data: DataDir) -> None:
        port, log, env = free_port(), data.log("redis"), for_servers(data)
        process = broker.start(data.redis, port, "secret", log, env)
        wait_until(lambda: broker.ready(port, "secret"), process)
        process.ask_to_stop(signal.SIGKILL)
        process.end(5)
        with (data.redis / "appendonly.aof").open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$1\r\na")
        process = broker.start(data.redis, port, "secret", log, env)
        wait_until(lambda: broker.ready(port, "secret"), process)
        process.ask_to_stop()
        process.end(5)

    def test_s3_leaves_nothing_of_a_put_in_which_it_was_killed(self, data: DataDir) -> None:
        """Its clients can't see that, so that a deleted voice would stay on the disk for ever."""
        port, log, env = free_port(), data.log("s3"), for_servers(data)
        (data.objects / "earshot").mkdir(parents=True)
        process = s3.start(data.objects, port, "access", "secret", log, env)
        wait_until(lambda: s3.ready(port), process)
        store = ObjectStore(storage_settings(S3(s3.url(port), "access", "secret"), "earshot"))
        url, headers = store.presign_put("a/b", ttl=timedelta(hours=1), size=4 * MEBIBYTE, content_type="audio/ogg")
        with socket.create_connection((broker.LOOPBACK, port)) as client:
            lines = [f"PUT {url.partition(str(port))[2]} HTTP/1.1", f"Host: {broker.LOOPBACK}:{port}"]
            lines += [f"{name}: {value}" for name, value in {**headers, "Content-Length": 4 * MEBIBYTE}.items()]
            client.sendall("\r\n".join([*lines, "", ""]).encode() + bytes(2 * MEBIBYTE))
            wait_until(lambda: files(data.objects) != [])
            process.ask_to_stop(signal.SIGKILL)
            process.end(5)
        assert files(data.objects) != []
        process = s3.start(data.objects, port, "access", "secret", log, env)
        wait_until(lambda: s3.ready(port), process)
        wait_until(lambda: files(data.objects) == [])
        process.ask_to_stop()
        process.end(5)

    def test_a_missing_wheel_is_named(self) -> None:
        with pytest.raises(PartFailed, match="stack"):
            postgres.wheel_folder("no_such_wheel")

    def test_rclone_is_found(self) -> None:
        assert os.access(s3.binary(), os.X_OK)


class TestDataDir:
    def test_keeps_credentials_and_ports(self, data: DataDir) -> None:
        assert data.credentials() == data.credentials()
        assert data.port("redis") == data.port("redis")

    def test_gives_another_port_when_the_old_one_is_taken(self, data: DataDir) -> None:
        before = data.port("s3")
        with socket.create_server(("127.0.0.1", before)):
            assert data.port("s3") != before

    def test_adds_a_credential_that_an_older_release_did_not_have(self, data: DataDir) -> None:
        first = data.credentials()
        kept = data.path / "secrets.json"
        known = json.loads(kept.read_text())
        del known["playback_secret"]
        kept.write_text(json.dumps(known))
        assert data.credentials().jwt_secret == first.jwt_secret
        assert len(data.credentials().playback_secret) >= 32

    def test_keeps_the_logs_of_the_last_starts(self, data: DataDir) -> None:
        for start in range(6):
            data.rotate_log("api").write_text(str(start))
        assert {path.name: path.read_text() for path in data.logs.iterdir()} == {
            "api.log": "5",
            "api.log.1": "4",
            "api.log.2": "3",
            "api.log.3": "2",
        }

    def test_says_when_the_folder_can_not_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(PartFailed, match="can't be used"), DataDir(tmp_path / "file" / "data").locked():
            pass


class TestEnvironment:
    def test_names_every_server(self) -> None:
        made = for_rooms({"PATH": "/bin"}, PORTS, KEYS, public_url="http://127.0.0.1:8300", model="auto")
        assert made == {
            "PATH": "/bin",
            "EARSHOT_DATABASE_URL": "postgresql+psycopg://earshot:db-password@127.0.0.1:1001/earshot",
            "EARSHOT_BROKER_URL": "redis://:broker%2Fpassword@127.0.0.1:1002/0",
            "EARSHOT_S3_ENDPOINT_URL": "http://127.0.0.1:1003",
            "EARSHOT_S3_BUCKET": "earshot",
            "EARSHOT_S3_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "access",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "EARSHOT_JWT_SECRET": "jwt-secret",
            "EARSHOT_PLAYBACK": "proxied",
            "EARSHOT_PLAYBACK_SECRET": "playback-secret",
            "EARSHOT_PUBLIC_URL": "http://127.0.0.1:8300",
            "EARSHOT_RATE_LIMITS": "off",
            "EARSHOT_DEPLOYMENT": "local",
            "EARSHOT_JAIL": "weak",
            "EARSHOT_MODEL": "auto",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }

    def test_a_setting_from_outside_replaces_the_part(self) -> None:
        outside = {
            "EARSHOT_DATABASE_URL": "postgresql+psycopg://elsewhere/db",
            "EARSHOT_S3_BUCKET": "voices",
            "AWS_PROFILE": "mine",
            "EARSHOT_JWKS_URL": "https://id.example.org/jwks",
        }
        assert Replaced.by(outside) == Replaced(postgres=True, broker=False, s3=True)
        made = for_rooms(outside, PORTS, KEYS, public_url="http://127.0.0.1:8300", model="auto")
        assert made.items() >= outside.items()
        for name in ("EARSHOT_S3_ENDPOINT_URL", "EARSHOT_PLAYBACK", "EARSHOT_JWT_SECRET", "AWS_ACCESS_KEY_ID"):
            assert name not in made

    @pytest.mark.parametrize(("asked", "used"), [("auto", "base"), ("micro", "micro")])
    def test_a_model_asked_for_wins_over_one_from_outside(self, asked: str, used: str) -> None:
        outside = {"EARSHOT_MODEL": "base"}
        made = for_rooms(outside, PORTS, KEYS, public_url="http://127.0.0.1:8300", model=asked)
        assert made["EARSHOT_MODEL"] == used

    def test_keys_for_aws_are_not_mixed_with_our_own_server(self) -> None:
        outside = {"AWS_SESSION_TOKEN": "theirs", "AWS_PROFILE": "mine", "AWS_REGION": "eu-west-1"}
        made = for_rooms(outside, PORTS, KEYS, public_url="http://127.0.0.1:8300", model="auto")
        assert not made.keys() & outside.keys()


class TestPorts:
    def test_finds_another_when_the_usual_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert not is_free(port, "127.0.0.1")
            assert free_port(port) != port

    def test_a_chosen_port_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            stack = Stack(tmp_path / "data", port=port, environment={"PATH": os.environ["PATH"]})
            with pytest.raises(PartFailed, match=f"{port} is taken"), stack:
                pass

    def test_an_address_that_is_not_ours_is_refused(self, tmp_path: Path) -> None:
        stack = Stack(tmp_path / "data", host="192.0.2.1", environment={"PATH": os.environ["PATH"]})
        with pytest.raises(PartFailed, match="can't listen"), stack:
            pass
