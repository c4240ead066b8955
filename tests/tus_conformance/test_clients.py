"""Clients that people really use."""

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient

from tests import stack
from tests.tus_conformance.target import Target, recording

CLIENTS = Path(__file__).parent.parent / "clients"
SIZE = 1_200_000


@pytest.mark.parametrize("checked", [True, False])
def test_tuspy_uploads_in_chunks(target: Target, checked: bool) -> None:
    uploader = _tuspy(target, checked)
    uploader.upload()
    _arrived(target, uploader.url)


def test_tuspy_goes_on_where_another_one_stopped(target: Target) -> None:
    first = _tuspy(target, checked=True)
    first.upload_chunk()
    second = _tuspy(target, checked=True, url=first.url)
    assert second.offset == first.offset == 100_000
    second.upload()
    _arrived(target, first.url)


@pytest.mark.parametrize(
    "how",
    [
        {"options": {"chunkSize": 150_000}},
        {"options": {}},
        {"options": {"uploadDataDuringCreation": True}},
        {"options": {"chunkSize": 150_000, "uploadDataDuringCreation": True, "overridePatchMethod": True}},
        {"options": {"chunkSize": 150_000}, "abortAfter": 300_000},
    ],
    ids=["chunks", "one-request", "with-creation", "overridden-method", "aborted-and-resumed"],
)
def test_tus_js_client_uploads(target: Target, tmp_path: Path, tus_js_client: Path, how: dict[str, Any]) -> None:
    task = {
        "endpoint": target.endpoint,
        "headers": dict(target.headers),
        "metadata": dict(target.metadata),
        "file": str(_file(tmp_path)),
        **how,
    }
    done = subprocess.run(
        ["node", "upload.mjs", json.dumps(task)], cwd=tus_js_client, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["messageId"]
    _arrived(target, told["url"])


@pytest.fixture(scope="module")
def tus_js_client() -> Path:
    """The folder in which `node upload.mjs` runs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        stack.missing("Node is not installed")
    if not (CLIENTS / "node_modules" / "tus-js-client").is_dir():
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        installed = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=120)
        if installed.returncode:
            stack.missing(f"npm can't install tus-js-client: {installed.stderr[-200:]}")
    return CLIENTS


def _tuspy(target: Target, checked: bool, url: str | None = None) -> Any:
    client = TusClient(target.endpoint, headers=dict(target.headers))
    return client.uploader(
        file_stream=io.BytesIO(recording(SIZE)),
        chunk_size=100_000,
        metadata=dict(target.metadata),
        upload_checksum=checked,
        url=url,
    )


def _file(folder: Path) -> Path:
    file = folder / "voice.wav"
    file.write_bytes(recording(SIZE))
    return file


def _arrived(target: Target, url: str) -> None:
    message_id = target.head(url).message_id
    assert message_id is not None
    assert target.stored is not None
    assert target.stored(message_id) == recording(SIZE)
