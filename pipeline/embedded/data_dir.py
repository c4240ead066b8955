"""The folder of one embedded stack: its lock, its credentials, its ports, its logs and what others may know of it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.embedded.failures import DataDirInUse, PartFailed
from pipeline.embedded.ports import free_port

_OLD_LOGS = 3


@dataclass(frozen=True)
class Credentials:
    """Made once for a data folder, then kept: URLs and tokens stay good over a restart."""

    database_password: str
    broker_password: str
    s3_access_key: str
    s3_secret_key: str
    jwt_secret: str
    playback_secret: str


class DataDir:
    """Everything in it is private to its owner."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.postgres = self.path / "postgres"
        self.redis = self.path / "redis"
        self.objects = self.path / "objects"
        self.logs = self.path / "logs"
        self.stack_file = self.path / "stack.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and holds it; raises DataDirInUse, or PartFailed when it can't be made."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            lock = (self.path / "lock").open("a")
        except OSError as error:
            raise PartFailed(f"the data folder {self.path} can't be used: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataDirInUse(self._who_uses_it()) from None
            yield

    def credentials(self) -> Credentials:
        kept = _read(self.path / "secrets.json")
        made = Credentials(
            database_password=secrets.token_urlsafe(24),
            broker_password=secrets.token_urlsafe(24),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
            jwt_secret=secrets.token_urlsafe(48),
            playback_secret=secrets.token_urlsafe(48),
        )
        complete = {**asdict(made), **kept}
        if complete != kept:
            write_private(self.path / "secrets.json", complete)
        return Credentials(**complete)

    def port(self, name: str) -> int:
        """The port this part had before when it is still free, otherwise another, which is then remembered."""
        kept = _read(self.path / "ports.json")
        port = free_port(kept.get(name))
        if kept.get(name) != port:
            write_private(self.path / "ports.json", {**kept, name: port})
        return port

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def rotate_log(self, name: str) -> Path:
        """An empty log; those of the last starts stay beside it."""
        log = self.log(name)
        names = [log, *(log.with_name(f"{log.name}.{age}") for age in range(1, _OLD_LOGS + 1))]
        for younger, older in reversed(list(pairwise(names))):
            if younger.exists():
                younger.replace(older)
        return log

    def _who_uses_it(self) -> str:
        known = _read(self.stack_file)
        where = f" at {known['url']} (process {known['pid']})" if known else ""
        return f"a stack already runs{where} from {self.path}: stop it, or choose another folder with --data-dir"


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, readable by its owner only."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
