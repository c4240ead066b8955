"""What `earshot demo` shows: the sample recordings on their way through the running stack."""

import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.commands.http_client import Client, Json
from pipeline.commands.show import message_table

SAMPLES = Path(__file__).parent.parent / "samples"
USERS = ("alice", "bob")
_THREAD = "earshot-demo"
_PATIENCE_S = 180
_TOLERANCE_MS = 50


@dataclass(frozen=True)
class Sample:
    file: Path
    sender: str
    about: str

    @property
    def external_id(self) -> str:
        return f"demo:{self.file.name}"


def run(data_dir: Path) -> bool:
    """True when every recording came through, reads and plays."""
    console = Console()
    samples = [Sample(SAMPLES / each["file"], each["sender"], each["container"]) for each in _listed()]
    with Client.from_data_dir(data_dir, "demo-host", scope="service") as host:
        thread = host.create_thread([USERS[1]], title="Demo", external_id=_THREAD, acting_as=USERS[0])
    clients = {user: Client.from_data_dir(data_dir, user) for user in USERS}
    sent = _send(console, clients, thread["id"], samples)
    messages = _follow(console, clients[USERS[0]], sent)
    console.print(message_table(messages))
    problems = [problem for message in messages for problem in _problems(console, message)]
    for problem in problems:
        console.print(f"[red]{problem}")
    for client in clients.values():
        client.close()
    return not problems


def _listed() -> list[dict[str, Any]]:
    return list(json.loads((SAMPLES / "samples.json").read_text()))


def _send(console: Console, clients: dict[str, Client], thread_id: str, samples: list[Sample]) -> list[str]:
    """Ids of the samples' messages; those that an earlier run has sent are found again."""
    known = {message["external_id"]: message["id"] for message in clients[USERS[0]].messages(thread_id)}
    sent = []
    for sample in samples:
        found = known.get(sample.external_id)
        if found is None:
            client = clients[sample.sender]
            found = client.send_voice(thread_id, sample.file, external_id=sample.external_id)["id"]
        verb = "found" if sample.external_id in known else "sent"
        console.print(f"{verb} {sample.file.name} [dim]({sample.about}) from {sample.sender}")
        sent.append(found)
    return sent


def _follow(console: Console, client: Client, ids: list[str]) -> list[Json]:
    """Waits until each is settled, showing how far they are."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    until = time.monotonic() + _PATIENCE_S
    with Progress(*columns, console=console) as progress:
        playable = progress.add_task("playable", total=len(ids))
        readable = progress.add_task("transcribed", total=len(ids))
        while True:
            messages = [client.message(each) for each in ids]
            ended = [message["voice"]["state"] in ("ready", "rejected", "failed") for message in messages]
            settled = [client.is_settled(message) for message in messages]
            progress.update(playable, completed=sum(ended))
            progress.update(readable, completed=sum(settled))
            if all(settled) or time.monotonic() > until:
                return messages
            time.sleep(0.2)


def _problems(console: Console, message: Json) -> list[str]:
    """What is wrong with one message; prints its playback URLs once they have been fetched and decoded."""
    voice = message["voice"]
    transcript = voice["transcript"] or {}
    if voice["state"] != "ready" or transcript.get("state") not in ("completed", "no_speech"):
        return [f"{message['id']}: voice {voice['state']}, transcript {transcript.get('state')}"]
    problems = []
    for rendition in voice["renditions"]:
        problem = _playback_problem(rendition, voice["duration_ms"])
        if problem:
            problems.append(f"{message['id']} {rendition['format']}: {problem}")
        elif rendition["format"] == "m4a":
            console.print(f"plays: {rendition['url']}", soft_wrap=True)
    return problems


def _playback_problem(rendition: Json, duration_ms: int) -> str | None:
    """Fetches it as a player does: the first two bytes, then all of it; then decodes it."""
    first = httpx.get(rendition["url"], headers={"Range": "bytes=0-1"}, trust_env=False)
    if first.status_code != 206 or len(first.content) != 2:
        return f"a Range request got {first.status_code} with {len(first.content)} bytes"
    whole = httpx.get(rendition["url"], trust_env=False)
    if len(whole.content) != rendition["size"]:
        return f"{len(whole.content)} bytes came instead of {rendition['size']}"
    heard_ms = _decoded_ms(whole.content)
    if abs(heard_ms - duration_ms) > _TOLERANCE_MS:
        return f"{heard_ms} ms decode instead of {duration_ms}"
    return None


def _decoded_ms(data: bytes) -> int:
    with av.open(io.BytesIO(data), mode="r") as container:
        stream = container.streams.audio[0]
        samples = [frame.samples for frame in container.decode(stream)]
        return round(sum(samples) * 1000 / stream.rate)
