"""A thread of 100,000 transcribed voice messages and one of 100, written straight into the tables."""

import json
import random
from collections.abc import Iterator

from sqlalchemy import Connection, text

from storage import threads
from storage.database import Database
from storage.ids import new_id

VIEWER = "viewer"
WORDS = 20_000
_AT_ONCE = 5_000


def fill(database: Database, count: int, seed: int = 7) -> tuple[str, list[str]]:
    """Returns the thread and its messages' ids. Words are drawn as those of languages are: by one over their rank."""
    rng = random.Random(seed)
    with database.transaction() as connection:
        thread, _ = threads.create(connection, creator=VIEWER, members=["speaker", "another"])
    ids: list[str] = []
    for begin in range(0, count, _AT_ONCE):
        rows = [_row(rng, thread, seq) for seq in range(begin + 1, min(count, begin + _AT_ONCE) + 1)]
        ids += [row["id"] for row in rows]
        with database.transaction() as connection:
            _insert(connection, rows)
            connection.execute(
                text("UPDATE threads SET last_seq = :seq WHERE id = :id"), {"seq": begin + len(rows), "id": thread}
            )
    return thread, ids


def settle(database: Database) -> None:
    """What autovacuum does in time."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))


def word(rank: int) -> str:
    """Pronounceable, the same for the same rank."""
    syllables = ["ka", "lo", "mi", "ter", "san", "ve", "dor", "ul", "pe", "rin", "gat", "os", "fi", "bem", "tu", "zal"]
    letters = ""
    number = rank + 16
    while number:
        number, digit = divmod(number, 16)
        letters += syllables[digit]
    return letters


def _row(rng: random.Random, thread: str, seq: int) -> dict[str, object]:
    said = " ".join(word(rank) for rank in _ranks(rng, rng.randint(6, 40)))
    message = new_id("msg")
    renditions = [
        {
            "format": name,
            "mime_type": kind,
            "object_key": f"messages/{message}/{name}/{'0' * 64}.{name}",
            "size": 50_000,
            "sha256": "0" * 64,
        }
        for name, kind in (("m4a", "audio/mp4"), ("opus", "audio/ogg"))
    ]
    return {
        "id": message,
        "thread": thread,
        "seq": seq,
        "transcript": new_id("tra"),
        "said": said,
        "waveform": rng.randbytes(100),
        "renditions": json.dumps(renditions),
        "times": b"\0\0\0\0" * len(said.split()),
    }


def _ranks(rng: random.Random, count: int) -> Iterator[int]:
    for _ in range(count):
        yield int(WORDS ** rng.random()) - 1


def _insert(connection: Connection, rows: list[dict[str, object]]) -> None:
    for statement in (
        "INSERT INTO messages (id, thread_id, seq, sender_id, kind) VALUES (:id, :thread, :seq, 'speaker', 'voice')",
        "INSERT INTO transcripts (id, message_id, version, state, language, language_probability, text, word_times,"
        " model) VALUES (:transcript, :id, 1, 'completed', 'en', 0.9, :said, :times, 'micro')",
        "INSERT INTO voices (message_id, state, original_key, original_size, original_sha256, container, duration_ms,"
        " loudness_lufs, waveform, renditions, transcript_id) VALUES (:id, 'ready', 'key', 1, '', 'mp4', 9000, -20,"
        " :waveform, CAST(:renditions AS jsonb), :transcript)",
        "INSERT INTO search_entries (message_id, thread_id, seq, config, body, document) VALUES (:id, :thread, :seq,"
        " 'english', :said, to_tsvector('english', :said) || to_tsvector('simple', :said))",
    ):
        connection.execute(text(statement), rows)
