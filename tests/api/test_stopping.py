"""A server that is told to stop does not wait for streams, which never end by themselves."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from tests import stack
from tests.api.conftest import SECRET, Person
from tests.api.listening import Listener


@pytest.fixture
def api(tmp_path: Path, database_url: str) -> Iterator[tuple[str, Process]]:
    port = free_port()
    environment = {
        **os.environ,
        "EARSHOT_DATABASE_URL": database_url,
        "EARSHOT_JWT_SECRET": SECRET,
        "EARSHOT_PLAYBACK": "proxied",
    }
    argv = [sys.executable, "-P", "-m", "pipeline", "api", "--port", str(port)]
    process = Process(argv, log=tmp_path / "api.log", env=environment)
    url = f"http://127.0.0.1:{port}"
    stack.wait_until(lambda: _answers(url), process)
    yield url, process
    process.end(patience_s=0)


def test_streams_end_at_once_when_the_server_is_told_to_stop(api: tuple[str, Process]) -> None:
    url, process = api
    with Person(url, "alice") as alice, Listener(alice) as listening:
        process.ask_to_stop(signal.SIGTERM)
        stack.wait_until(listening.ended.is_set, timeout_s=8)
        assert process.wait(20) in (0, -signal.SIGTERM)


def _answers(url: str) -> bool:
    with Person(url, "anybody") as somebody:
        try:
            return somebody.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False
