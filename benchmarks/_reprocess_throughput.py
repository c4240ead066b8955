"""A run with a real engine against the engine alone, in turns on the same recordings."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks._reprocess_world import begin, drain, fill, messages_queued, moving, running, store_speech
from benchmarks.base_shape import make_base_shape
from benchmarks.load import make_load
from benchmarks.speech_sides import EQUAL_WORK
from pipeline.context import Context
from storage.runs import Filter
from transcribe import Clip, Engine, TranscribeSettings, load_clip
from transcribe.loading import load

TURN = 40


def throughput(options: argparse.Namespace) -> dict[str, Any]:
    """A run with a model of the shape of `base` against the same engine on the same recordings, in turns."""
    messages = make_load(options.spoken)
    with tempfile.TemporaryDirectory() as folder, running(str(make_base_shape(Path(folder) / "base"))) as context:
        settings = TranscribeSettings(model=context.settings.transcribe.model, speech_context="fitted")
        context.engine = engine = load(settings, EQUAL_WORK)
        fill(context, len(messages))
        ids = _store_each(context, [message.samples for message in messages])
        engine.transcribe([Clip(messages[0].samples)])
        with moving(context):
            turns = [_turn(context, engine, ids[first : first + TURN]) for first in range(0, len(ids), TURN)]
    alone, run, alone_cpu, run_cpu = (sum(seconds) for seconds in zip(*turns, strict=True))
    return {
        "messages": len(messages),
        "engine_messages_per_s": round(len(messages) / alone, 2),
        "run_messages_per_s": round(len(messages) / run, 2),
        "ratio": round(statistics.median(turn[0] / turn[1] for turn in turns), 3),
        "ratio_by_turns": [round(turn[0] / turn[1], 3) for turn in turns],
        "ratio_of_the_workers_cpu_time": round(alone_cpu / run_cpu, 3),
        "engine_cpu_ms_per_message": round(1000 * alone_cpu / len(messages), 1),
        "least": {"ratio": 0.9},
    }


def _turn(context: Context, engine: Engine, ids: Sequence[str]) -> tuple[float, ...]:
    """Seconds of the engine alone, in groups as large as a worker's, and of a run over the same messages; of the clock
    and of the processor."""
    clips, at_once = _stored_clips(context, ids), context.settings.pipeline.speech_claim
    before = (time.perf_counter(), time.process_time())
    for first in range(0, len(clips), at_once):
        engine.transcribe(clips[first : first + at_once])
    alone = (time.perf_counter() - before[0], time.process_time() - before[1])
    run_id = begin(context, len(ids), filter=Filter(ids=tuple(ids)))
    while not messages_queued(context, run_id):
        time.sleep(0.05)
    before = (time.perf_counter(), time.process_time())
    drain(context, run_id, len(ids))
    run = (time.perf_counter() - before[0], time.process_time() - before[1])
    return alone[0], run[0], alone[1], run[1]


def _store_each(context: Context, recordings: Sequence[Any]) -> list[str]:
    with context.database.reading() as connection:
        ids = connection.execute(text("SELECT message_id FROM voices ORDER BY message_id")).scalars().all()
    for message_id, samples in zip(ids, recordings, strict=True):
        values = {"id": message_id, "key": store_speech(context, message_id, samples)}
        with context.database.transaction() as connection:
            connection.execute(text("UPDATE voices SET speech_key = :key WHERE message_id = :id"), values)
    return list(ids)


def _stored_clips(context: Context, ids: Sequence[str]) -> list[Clip]:
    query = text("SELECT speech_key FROM voices WHERE message_id = ANY(:ids) ORDER BY message_id")
    with context.database.reading() as connection:
        keys = connection.execute(query, {"ids": list(ids)}).scalars().all()
    with tempfile.TemporaryDirectory() as folder:
        return [_stored_clip(context, key, Path(folder) / f"{number}.flac") for number, key in enumerate(keys)]


def _stored_clip(context: Context, key: str, path: Path) -> Clip:
    context.store.download(key, path)
    return load_clip(path)
