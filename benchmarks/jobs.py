"""What jobs cost: Postgres's time for a message, a claim from a long queue, and from a ring to a claim."""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._jobs_database import Server, fill, running
from storage import arrivals, intents, jobs, threads, transcripts, voices
from storage.database import Database
from storage.ids import new_id
from storage.messages import Original
from storage.transcripts import SpeechResult
from storage.voices import MediaResult
from tests.faults.checker import settle
from tests.faults.load import Sender, Told, recording
from tests.faults.world import World

RESULTS = Path(__file__).parent / "results" / "jobs.json"
SHORT, LONG = 100, 100_000
_WAITED = """
    SELECT extract(epoch FROM started_at - j.created_at) * 1000 FROM jobs j JOIN messages m ON m.id = j.message_id
    WHERE queue = 'media' AND thread_id = :thread
"""
_BOUNDS = {"machinery_ms": 5.0, "long_to_short": 2.0, "claimed_p95_ms": 100.0, "without_ring_s": 15.0}


def main() -> int:
    """Prints a table and writes `results/jobs.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--claims", type=int, default=300)
    parser.add_argument("--rings", type=int, default=60)
    options = parser.parse_args()
    with running() as server:
        machinery = _machinery(server, options.messages)
        claims = _claims(server, options.claims)
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        rings = _rings(world, options.rings)
    measured = {
        "machinery_ms": machinery["all_ms"],
        "long_to_short": claims["long_to_short"],
        "claimed_p95_ms": rings["p95_ms"],
        "without_ring_s": rings["without_ring_s"],
    }
    for name, value in measured.items():
        print(f"{name:18}{value:10.2f}  at most {_BOUNDS[name]:g}: {'yes' if value <= _BOUNDS[name] else 'NO'}")
    result = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "machinery": machinery,
        "claims": claims,
        "rings": rings,
        "measured": measured,
        "bounds": _BOUNDS,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _machinery(server: Server, count: int) -> dict[str, Any]:
    """All that workers ask of Postgres for a message, one by one, without its upload. Commits wait for the disk."""
    database = server.database()
    thread = _thread(database)
    for _ in range(20):
        _arrive(database, thread)
        _whole_way(database)
    for _ in range(count):
        _arrive(database, thread)
    with server.watched() as statements:
        for _ in range(count):
            _whole_way(database)
    database.close()
    committing = sum(spent for spent, words in statements if words.endswith("COMMIT"))
    spent = sum(spent for spent, _ in statements)
    return {
        "messages": count,
        "statements": round(len(statements) / count, 1),
        "all_ms": round(spent / count, 3),
        "commits_ms": round(committing / count, 3),
    }


def _whole_way(database: Database) -> None:
    """As workers do it, one message in each claim. The reaper and heartbeats are apart: they come by the clock."""
    media = _claim(database, "media")
    with database.transaction(durable=False) as connection:
        jobs.confirm(connection, media)
        work = voices.start(connection, media.message_id)
        assert work is not None
    with database.transaction() as connection:
        jobs.confirm(connection, media)
        intents.declare(connection, media.message_id, [f"{media.id}-speech"], ttl_s=900)
    with database.transaction() as connection:
        result = MediaResult(2000, -20.0, bytes(100), bytes(4000), [], f"{media.id}-speech")
        voices.finish(connection, media, work, result)
    _say(database, _claim(database, "speech"))


def _say(database: Database, speech: jobs.Job) -> None:
    with database.transaction(durable=False) as connection:
        jobs.confirm(connection, speech)
        work = transcripts.start(connection, speech.transcript_id or "")
        assert work is not None
    with database.transaction() as connection:
        transcripts.usual_languages(connection, [work.thread_id])
    with database.transaction() as connection:
        jobs.confirm(connection, speech)
        intents.declare(connection, speech.message_id, [f"{speech.id}-transcript"], ttl_s=900)
    with database.transaction() as connection:
        words = "please review the slides before we meet on thursday"
        result = SpeechResult("completed", "en", 0.9, 0.8, words, "micro", f"{speech.id}-transcript")
        transcripts.finish(connection, speech, work, result)


def _claim(database: Database, queue: jobs.Queue) -> jobs.Job:
    with database.transaction(durable=False) as connection:
        [job] = jobs.claim(connection, queue, lane=None, limit=1, lease_s=30, worker="bench")
    return job


def _arrive(database: Database, thread: str) -> None:
    message = new_id("msg")
    original = Original(f"messages/{message}/original/x", 1, "0" * 64, "ogg")
    with database.transaction() as connection:
        intents.declare(connection, message, [original.object_key], ttl_s=900)
        arrivals.add_voice(connection, message, thread, "alice", original, language=None, external_id=None)


def _claims(server: Server, count: int) -> dict[str, Any]:
    """Claims that are taken back, in a short and in a long queue by turns."""
    databases = {}
    for length in (SHORT, LONG):
        databases[length] = server.database()
        fill(databases[length], _thread(databases[length]), length)
    spent: dict[int, list[float]] = {SHORT: [], LONG: []}
    for number in range(count):
        for length, database in databases.items():
            begun = time.perf_counter()
            with database.engine.connect() as connection:
                assert jobs.claim(connection, "media", lane=None, limit=1, lease_s=30, worker="bench")
                connection.rollback()
            if number >= count // 10:
                spent[length].append((time.perf_counter() - begun) * 1000)
    for database in databases.values():
        database.close()
    short, long = (statistics.median(spent[length]) for length in (SHORT, LONG))
    return {"short_ms": round(short, 3), "long_ms": round(long, 3), "long_to_short": round(long / short, 3)}


def _rings(world: World, count: int) -> dict[str, Any]:
    """From the row of a job to its claim by an idle worker process: rung for, and with the broker away."""
    chance, told = random.Random(1), Told()
    with Sender(world.url, world.token("alice"), told) as sender:
        heard, unheard = sender.thread(), sender.thread()
        for number in range(count):
            sender.send(heard, recording(number))
            settle(world, told)
            time.sleep(chance.uniform(0, 0.3))
        world.broker.refuse()
        for number in range(5):
            time.sleep(chance.uniform(0, 5))
            sender.send(unheard, recording(count + number))
            settle(world, told)
    waited = sorted(float(row[0]) for row in world.sql(_WAITED, thread=heard))
    without = [float(row[0]) / 1000 for row in world.sql(_WAITED, thread=unheard)]
    return {
        "p50_ms": round(statistics.median(waited), 1),
        "p95_ms": round(waited[int(len(waited) * 0.95)], 1),
        "without_ring_s": round(max(without), 2),
    }


def _thread(database: Database) -> str:
    with database.transaction() as connection:
        return threads.create(connection, creator="alice", members=["bob"])[0]


if __name__ == "__main__":
    sys.exit(main())
