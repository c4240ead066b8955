"""What people notice of a run: how long their messages take with one at full speed beside them, and without."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks._reprocess_world import begin, environment, fill, messages_done, running, store_speech
from benchmarks.load import make_load
from pipeline.context import Context
from pipeline.embedded.ports import free_port
from pipeline.embedded.process import Process
from pipeline.tokens import sign
from storage import runs
from tests import stack
from transcribe.clip import SAMPLE_RATE

SECRET = "the secret of a benchmark, long enough for HS256"
SAMPLES = Path(__file__).parent.parent / "pipeline" / "samples"
ROOT = SAMPLES.parent.parent
# Far more than a run gets done beside the live messages.
_STORED = 20_000
_PAUSE_S = 1.0
_NICED = ("nice", "-n", "19")


def live(options: argparse.Namespace) -> dict[str, Any]:
    """One live and one niced batch worker for speech, with the bundled model."""
    with running() as context, tempfile.TemporaryDirectory() as name, _product(context, Path(name)) as client:
        thread = client.post("/v1/threads", json={"participants": []}).json()["id"]
        speech = store_speech(context, "msg_shared", make_load(1)[0].samples[: 4 * SAMPLE_RATE])
        fill(context, _STORED, speech)
        _send(client, thread, 5)
        alone = _send(client, thread, options.live)
        run_id = begin(context, _STORED)
        stack.wait_until(lambda: messages_done(context, run_id) > 0)
        before, began = messages_done(context, run_id), time.perf_counter()
        beside = _send(client, thread, options.live)
        rate = (messages_done(context, run_id) - before) / (time.perf_counter() - began)
        with context.database.transaction() as connection:
            runs.cancel(connection, run_id)
    return {
        "live_messages": options.live,
        "run_messages_per_s_beside": round(rate, 1),
        "alone_s": _spread(alone),
        "beside_a_run_s": _spread(beside),
        "most_p95_s": round(2 * _p95(alone) + 0.5, 3),
    }


@contextmanager
def _product(context: Context, folder: Path) -> Iterator[httpx.Client]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = environment(context, EARSHOT_JWT_SECRET=SECRET, EARSHOT_PUBLIC_URL=url)
    with ExitStack() as stops:
        _start(stops, folder / "api.log", given, "api", "--port", str(port))
        _start(stops, folder / "media.log", given, "worker", "--queues", "media")
        _start(stops, folder / "live.log", given, "worker", "--queues", "speech", "--lane", "live")
        _start(stops, folder / "batch.log", given, "worker", "--queues", "speech", "--lane", "batch", before=_NICED)
        _start(stops, folder / "reaper.log", given, "reaper")
        headers = {"Authorization": f"Bearer {sign(SECRET, 'speaker')}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            stack.wait_until(lambda: _answers(client))
            yield client


def _start(stops: ExitStack, log: Path, given: dict[str, str], *arguments: str, before: Sequence[str] = ()) -> None:
    process = Process([*before, sys.executable, "-m", "pipeline", *arguments], log=log, env=given, cwd=ROOT)
    stops.callback(process.end, patience_s=20)
    stops.callback(process.ask_to_stop)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _send(client: httpx.Client, thread: str, count: int) -> list[float]:
    """Seconds from the upload to the transcript, one message after the other."""
    recording = (SAMPLES / "late.ogg").read_bytes()
    found = []
    for _ in range(count):
        began = time.perf_counter()
        message = client.post(f"/v1/threads/{thread}/voice-messages", content=recording).json()["id"]
        while not _is_transcribed(client, message):
            time.sleep(0.02)
        found.append(time.perf_counter() - began)
        time.sleep(_PAUSE_S)
    return found


def _is_transcribed(client: httpx.Client, message: str) -> bool:
    transcript = client.get(f"/v1/messages/{message}").json()["voice"]["transcript"]
    return transcript is not None and transcript["state"] in ("completed", "no_speech")


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "p95": round(_p95(seconds), 3)}


def _p95(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.95 * (len(seconds) - 1))]
