"""Compares what clients were told with what Postgres and S3 hold afterwards, byte for byte by hash."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import httpx

from storage import references
from storage.errors import ObjectMissing
from storage.keys import parse_key
from tests.faults.load import PATIENCE_S, Told
from tests.faults.world import PREFIX, World
from tests.stack import wait_until

_SPOKEN = ("completed", "no_speech")
_ONCE = ("message.created", "voice.ready", "voice.rejected", "voice.failed", "transcript.completed")
_VOICES = """
    SELECT v.*, t.state AS transcript_state, t.object_key AS transcript_key
    FROM voices v JOIN messages m ON m.id = v.message_id LEFT JOIN transcripts t ON t.id = v.transcript_id
    WHERE m.thread_id = ANY(:threads) AND m.deleted_at IS NULL
"""
_UNDER_WAY = """
    SELECT count(*) FROM jobs j JOIN messages m ON m.id = j.message_id
    WHERE m.thread_id = ANY(:threads) AND j.state IN ('queued', 'running')
"""
_REFERRED = """
    SELECT original_key FROM voices UNION SELECT speech_key FROM voices WHERE speech_key IS NOT NULL
    UNION SELECT each ->> 'object_key' FROM voices, jsonb_array_elements(renditions) AS each
    UNION SELECT object_key FROM transcripts WHERE object_key IS NOT NULL
"""


@dataclass
class Table:
    """`lost` counts what was promised and is not there whole, `doubled` what is there more than once, `orphaned`
    objects that nothing refers to, `charged` failures that were counted against jobs."""

    accepted: int = 0
    ready: int = 0
    transcribed: int = 0
    rejected: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    orphaned: int = 0
    charged: int = 0

    def assert_nothing_lost(self) -> None:
        assert (self.lost, self.doubled, self.orphaned) == (0, 0, 0), self

    def assert_whole(self) -> None:
        """Everything that was accepted is ready and transcribed, once, and nobody was blamed."""
        self.assert_nothing_lost()
        assert self.accepted > 0
        assert (self.ready, self.transcribed, self.charged) == (self.accepted, self.accepted, 0), self


COLUMNS = tuple(each.name for each in fields(Table))


def settle(world: World, told: Told) -> None:
    """Returns when no job of the messages is open any more."""
    threads = list(told.threads)
    wait_until(lambda: world.sql(_UNDER_WAY, threads=threads)[0][0] == 0, timeout_s=PATIENCE_S)


def check(world: World, told: Told, *, deleted: Collection[str] = ()) -> Table:
    """Of the messages in `told`, after they have settled; of those that were `deleted` nothing may be there."""
    sweep(world)
    voices = {row.message_id: row for row in world.sql(_VOICES, threads=list(told.threads))}
    table = Table()
    authorization = {"Authorization": f"Bearer {world.token('alice')}"}
    # An API that was killed again and again rests for seconds before it is started again.
    patient = httpx.HTTPTransport(retries=7)
    with httpx.Client(base_url=world.url, headers=authorization, transport=patient) as client:
        for message, sha256 in told.accepted.items():
            if message not in deleted:
                _count(table, world, client, voices.get(message), sha256)
    table.doubled = _doubled(world, told) + len(set(voices) - (set(told.accepted) - set(deleted)))
    table.orphaned = len(orphans(world))
    charged = (
        "SELECT sum(attempts) FROM jobs j JOIN messages m ON m.id = j.message_id WHERE m.thread_id = ANY(:threads)"
    )
    table.charged = world.sql(charged, threads=list(told.threads))[0][0] or 0
    return table


def sweep(world: World) -> None:
    """What dead writers left is due minutes later; nobody waits for that here. May take nothing that is referred to."""
    world.sql("UPDATE intents SET expires_at = now() WHERE expires_at > now() RETURNING 1")
    world.sql("UPDATE reservations SET expires_at = now() WHERE expires_at > now() RETURNING 1")
    wait_until(lambda: world.sql("SELECT count(*) FROM intents")[0][0] == 0)
    wait_until(lambda: world.sql("SELECT count(*) FROM reservations")[0][0] == 0)
    wait_until(lambda: world.sql("SELECT count(*) FROM erasures WHERE NOT emptied")[0][0] == 0)


def orphans(world: World) -> set[str]:
    """Objects that no row refers to, and that nobody is about to refer to."""
    owners = {}
    for found in world.store.list(f"{PREFIX}/"):
        parsed = parse_key(PREFIX, found.key)
        owners[found.key] = parsed.message_id if parsed else ""
    with world.database.transaction() as connection:
        return set(owners) - references.known(connection, owners)


def dangling(world: World) -> set[str]:
    """Keys that a row refers to and that are not there."""
    referred = {row[0] for row in world.sql(_REFERRED)}
    return referred - {found.key for found in world.store.list(f"{PREFIX}/")}


def _count(table: Table, world: World, client: httpx.Client, voice: Any, sha256: str) -> None:
    table.accepted += 1
    if voice is None or voice.original_sha256 != sha256 or not _whole(world, voice.original_key):
        table.lost += 1
        return
    table.ready += voice.state == "ready"
    table.rejected += voice.state == "rejected"
    table.failed += voice.state == "failed"
    table.transcribed += voice.transcript_state in _SPOKEN
    renditions = [each["object_key"] for each in voice.renditions]
    promised = [*renditions, *filter(None, (voice.speech_key, voice.transcript_key))]
    if not all(_whole(world, key) for key in promised) or (renditions and not _plays(client, voice.message_id)):
        table.lost += 1


def _whole(world: World, key: str) -> bool:
    """Whether the object is there with the bytes that its key names."""
    parsed = parse_key(PREFIX, key)
    try:
        with world.store.get(key) as stream:
            return parsed is not None and hashlib.sha256(stream.read()).hexdigest() == parsed.sha256
    except ObjectMissing:
        return False


def _plays(client: httpx.Client, message: str) -> bool:
    voice = client.get(f"/v1/messages/{message}").json()["voice"]
    answers = [client.get(each["url"], headers={"Range": "bytes=0-1"}) for each in voice["renditions"]]
    return all((answer.status_code, len(answer.content)) == (206, 2) for answer in answers)


def _doubled(world: World, told: Told) -> int:
    """What happened more often than once to a message, as its clients would see it, and recordings that came twice."""
    seen = world.sql(
        "SELECT type, message_id, count(*) AS times FROM events"
        " WHERE thread_id = ANY(:threads) AND type = ANY(:types) GROUP BY 1, 2",
        threads=list(told.threads),
        types=list(_ONCE),
    )
    sent = Counter(told.accepted.values())
    return sum(row.times - 1 for row in seen) + sum(times - 1 for times in sent.values())
