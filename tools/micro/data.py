"""Step `data`: sentences read by espeak-ng, in shards that the training and the evaluation read.

A shard is NAME.npy (int16 samples at 16 kHz, sentence after sentence) and NAME.json (a list of Sentence). The training
set is kept as single sentences in groups of one speaker, and put together into messages only when it is read.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from tools.micro.espeak import Samples, Speaker
from tools.micro.sentences import EARLY, LANGUAGES, TRAINING, grammar
from tools.micro.voices import Voice, draw_voice

ROOT: Final = Path(__file__).resolve().parents[2]
GROUP: Final = 6
GROUPS_PER_SHARD: Final = 250
TRAIN_SEED, EVALUATION_SEED = 100_000, 900_000
EARLY_SHARDS: Final = 44
MOST_SHARDS: Final = 120
SPEECH_LEVEL: Final = 10 ** (-23 / 20)


@dataclass(frozen=True)
class Sentence:
    """One spoken sentence in a shard; word_starts in seconds from its beginning."""

    language: str
    voice: str
    group: int
    text: str
    offset: int
    samples: int
    word_starts: list[float]


def make_training_data(folder: Path, *, shards: int, processes: int) -> None:
    """Writes what is missing of the training shards."""
    if shards > MOST_SHARDS:
        raise SystemExit(f"at most {MOST_SHARDS} shards: the evaluation knows the text of so many")
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(shards) if not (folder / f"train-{i:04d}.json").exists()]
    with ThreadPoolExecutor(processes) as pool:
        for i, made in zip(missing, pool.map(lambda i: _make_apart(folder, i), missing), strict=True):
            print(f"train-{i:04d}", "made" if made else "left out: espeak-ng crashed", flush=True)


def _make_apart(folder: Path, index: int) -> bool:
    """A process for each shard: espeak-ng 1.51 carries state from sentence to sentence, and crashes on a rare one."""
    code = (
        f"from pathlib import Path; from tools.micro.data import make_shard; make_shard(Path({str(folder)!r}), {index})"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def make_shard(folder: Path, index: int) -> None:
    """Writes one training shard, the same whenever it is made."""
    chunks: list[np.ndarray] = []
    sentences: list[Sentence] = []
    offset = 0
    for group, language, voice, text in _planned(index):
        sound, starts = say(text, voice)
        sentences.append(Sentence(language, voice.name, group, text, offset, len(sound), starts))
        chunks.append(np.round(sound * 32_767).astype(np.int16))
        offset += len(sound)
    np.save(folder / f"train-{index:04d}.npy", np.concatenate(chunks))
    (folder / f"train-{index:04d}.json").write_text(json.dumps([asdict(s) for s in sentences]), "utf-8")


def _planned(index: int) -> Iterator[tuple[int, str, Voice, str]]:
    """Group, language, voice and text of each sentence of a shard, known without any sound."""
    rng = random.Random(TRAIN_SEED + index)
    for number in range(GROUPS_PER_SHARD):
        language = rng.choices(LANGUAGES, [grammar(name).share for name in LANGUAGES])[0]
        voice = draw_voice(grammar(language), rng, held_out=False)
        for _ in range(GROUP):
            text = grammar(language).draw_to_learn(rng, EARLY if index < EARLY_SHARDS else TRAINING)
            yield index * GROUPS_PER_SHARD + number, language, voice, text


def training_texts() -> frozenset[str]:
    """Every sentence that a training of up to MOST_SHARDS can have seen."""
    return frozenset(text for index in range(MOST_SHARDS) for _, _, _, text in _planned(index))


def say(text: str, voice: Voice) -> tuple[Samples, list[float]]:
    """A sentence at SPEECH_LEVEL (root mean square), limited to full scale, and where its words begin in seconds."""
    spoken = _speaker().say(text, voice)
    level = float(np.sqrt(np.mean(spoken.samples**2)))
    return np.clip(spoken.samples * (SPEECH_LEVEL / level), -1, 1), spoken.word_starts


@cache
def _speaker() -> Speaker:
    return Speaker()


def training_sentences(folder: Path) -> Iterator[tuple[Path, Sentence]]:
    """Each sentence of the training set with the samples' file."""
    for listing in sorted(folder.glob("train-*.json")):
        for raw in json.loads(listing.read_text("utf-8")):
            yield listing.with_suffix(".npy"), Sentence(**raw)
