"""Which of espeak-ng's voice variants the training hears, and which are kept for the evaluation."""

from __future__ import annotations

import random
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import Final

from tools.micro.sentences import Grammar

# Variants that a person does not understand either, or that only change the speed.
LEFT_OUT: Final = ("fast", "Demonic", "Mr")
HELD_OUT_SEED: Final = 20
HELD_OUT_COUNT: Final = 14


@dataclass(frozen=True)
class Voice:
    """How one speaker sounds: an espeak-ng voice name with its speed (words a minute), pitch and pitch range (0-99)."""

    name: str
    speed: int
    pitch: int
    pitch_range: int


def draw_voice(grammar: Grammar, rng: random.Random, *, held_out: bool) -> Voice:
    """A speaker of the language: one of the training's voices, or one with a held-out variant or accent."""
    training, kept = variants()
    accents, variant = grammar.voices, rng.choice(kept if held_out else training)
    if held_out and grammar.held_out_voices and rng.random() < 0.25:
        accents, variant = grammar.held_out_voices, rng.choice(training)
    name = rng.choice(accents) + (f"+{variant}" if variant else "")
    return Voice(name, rng.randint(125, 195), rng.randint(20, 80), rng.randint(25, 75))


@cache
def variants() -> tuple[list[str], list[str]]:
    """(heard in training, held out); '' is the plain voice."""
    listing = subprocess.run(["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True)
    found = sorted(set(re.findall(r"!v/(\S+)", listing.stdout)) - set(LEFT_OUT))
    kept = sorted(random.Random(HELD_OUT_SEED).sample(found, HELD_OUT_COUNT))
    return ["", *(name for name in found if name not in kept)], kept
