"""Batches of messages of like length, the same for the same seed wherever training is taken up again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from tools.micro.corpus import Corpus
from tools.micro.messages import WINDOW, Example, Plan, draw_plan, make_example

PLANS_PER_ROUND = 512
LONGEST_SHARE = 0.4
QUIET_SHARE = 0.06
SEED = 1


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; tokens and targets are table rows, target -100 asks nothing.

    begin and end bound the encoder positions of the word to be said next; begin is -1 where there is none.
    """

    spectra: Tensor
    tokens: Tensor
    targets: Tensor
    begin: Tensor
    end: Tensor
    audio_lengths: Tensor
    characters: Tensor
    character_lengths: Tensor
    round: int


@dataclass(frozen=True)
class Mixture:
    """How hard the batches are: their frames of sound, and how often (0-1) sound is distorted, batches are padded to
    30 s, and messages are single sentences."""

    frames: int
    distortion: float
    padded: float
    single: float


class Rounds(IterableDataset[Batch]):
    """Endless batches from a round on."""

    def __init__(self, corpus: Corpus, mixture: Mixture, *, first: int) -> None:
        self._corpus = corpus
        self._mixture = mixture
        self._first = first

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        number = self._first + worker
        while True:
            yield from self._round(number)
            number += workers

    def _round(self, number: int) -> Iterator[Batch]:
        rng = random.Random(SEED * 1_000_003 + number)
        plans = sorted((self._plan(rng) for _ in range(PLANS_PER_ROUND)), key=lambda plan: plan.frames)
        batches = [self._make(chosen, rng, padded=False) for chosen in self._split(plans)]
        padded = max(1, round(len(batches) * self._mixture.padded / (1 - self._mixture.padded)))
        batches += [self._make(self._padded_plans(rng), rng, padded=True) for _ in range(padded)]
        rng.shuffle(batches)
        for plans_of_batch, length in batches:
            examples = [make_example(plan, self._corpus, rng, self._mixture.distortion) for plan in plans_of_batch]
            yield collate(examples, length, self._corpus, rng, number)

    def _plan(self, rng: random.Random) -> Plan:
        few = rng.choices([1, 2, 3, 4, 5], [0.42, 0.3, 0.16, 0.08, 0.04])[0]
        return draw_plan(self._corpus, rng, 1 if rng.random() < self._mixture.single else few)

    def _split(self, plans: list[Plan]) -> Iterator[list[Plan]]:
        chosen: list[Plan] = []
        for plan in plans:
            chosen.append(plan)
            if plan.frames * (len(chosen) + 1) > self._mixture.frames:
                yield chosen
                chosen = []
        if chosen:
            yield chosen

    def _padded_plans(self, rng: random.Random) -> list[Plan]:
        # Attention over a whole window costs more than its frames: half as many of them.
        count = max(2, self._mixture.frames // WINDOW // 2)
        return [
            draw_plan(self._corpus, rng, rng.randint(8, 16)) if rng.random() < LONGEST_SHARE else self._plan(rng)
            for _ in range(count)
        ]

    @staticmethod
    def _make(plans: list[Plan], rng: random.Random, *, padded: bool) -> tuple[list[Plan], int]:
        longest = max(plan.frames for plan in plans)
        length = WINDOW if padded else min(WINDOW, longest + rng.choice([0, 0, 0, 50, 100, 200]))
        with_quiet = [Plan([], longest) if rng.random() < QUIET_SHARE else plan for plan in plans]
        return with_quiet, length + length % 2


def collate(examples: list[Example], length: int, corpus: Corpus, rng: random.Random, number: int) -> Batch:
    """Pads sound with zeros, as faster-whisper does, or with the silence of the spectrum; tokens with the last row."""
    row_of = corpus.rows.row_of
    spectra = np.zeros((len(examples), length, len(examples[0].spectra[0])), np.float32)
    texts = max(len(example.tokens) for example in examples)
    tokens = np.full((len(examples), texts), corpus.rows.other)
    targets = np.full((len(examples), texts), -100)
    begin, end = np.full((len(examples), texts), -1.0, np.float32), np.full((len(examples), texts), -1.0, np.float32)
    for i, example in enumerate(examples):
        frames = len(example.spectra)
        spectra[i, :frames] = example.spectra
        if rng.random() < 0.35:
            spectra[i, frames:] = example.spectra.min()
        said = np.array(example.targets)
        tokens[i, : len(said)] = row_of[example.tokens]
        targets[i, : len(said)] = np.where(said < 0, -100, row_of[said])
        bounds = np.array([span or (-1.0, -1.0) for span in example.spans], np.float32)
        begin[i, : len(said)], end[i, : len(said)] = bounds[:, 0], bounds[:, 1]
    return Batch(
        torch.from_numpy(spectra.transpose(0, 2, 1).copy()),
        torch.from_numpy(tokens),
        torch.from_numpy(targets),
        torch.from_numpy(begin),
        torch.from_numpy(end),
        torch.tensor([(len(example.spectra) + 1) // 2 for example in examples]),
        torch.tensor([c for example in examples for c in example.characters], dtype=torch.long),
        torch.tensor([len(example.characters) for example in examples]),
        number,
    )
