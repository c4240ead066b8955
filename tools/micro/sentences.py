"""Sentences that people say in voice messages, drawn from the grammars in sentences/*.toml."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "sentences"
LANGUAGES: Final = ("en", "de", "es")
WORD_SERIES_SHARE: Final = 0.2
FRAGMENTS_SHARE: Final = 0.3
# Kinds of patterns. The first recipe knew the early ones only, which left words of the held-out patterns unheard.
EARLY: Final = ("train",)
TRAINING: Final = ("train", "later")
HELD_OUT: Final = ("held_out",)

SLOT: Final = re.compile(r"\{(\w+)\}")
CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Grammar:
    """One language's patterns and the words that fill them."""

    language: str
    share: float
    voices: tuple[str, ...]
    held_out_voices: tuple[str, ...]
    alike: tuple[tuple[str, ...], ...]
    slots: dict[str, list[str]]
    patterns: dict[str, list[str]]

    def draw(self, rng: random.Random, patterns: Sequence[str]) -> str:
        """A sentence of one of the patterns of so many kinds (EARLY, TRAINING, HELD_OUT)."""
        return self._finish(self._fill(rng.choice([p for kind in patterns for p in self.patterns[kind]]), rng))

    def draw_to_learn(self, rng: random.Random, patterns: Sequence[str]) -> str:
        """The same with some that make no sense among them, which keep the decoder listening: it can't complete what
        it has never read."""
        kind = rng.random()
        if kind < WORD_SERIES_SHARE:
            return self._word_series(rng)
        if kind < WORD_SERIES_SHARE + FRAGMENTS_SHARE:
            return self._fragments(rng, patterns)
        return self.draw(rng, patterns)

    def _word_series(self, rng: random.Random) -> str:
        """Words in no order."""
        slots = [*(s for s in self.slots if s not in ("word", "alike")), *["word"] * len(self.slots)]
        parts = [self._fill("{" + rng.choice(slots) + "}", rng) for _ in range(rng.randint(2, 7))]
        return self._finish(" ".join(parts) + rng.choice([".", ".", ".", "?"]))

    def _fragments(self, rng: random.Random, patterns: Sequence[str]) -> str:
        """Runs of one to four words cut out of sentences, one after another."""
        parts: list[str] = []
        for _ in range(rng.randint(2, 4)):
            words = self.draw(rng, patterns).split()
            start = rng.randrange(1 if parts and len(words) > 1 else 0, len(words))
            parts.append(" ".join(words[start : start + rng.randint(1, 4)]).strip(",.?!¿¡"))
        return self._finish(" ".join(parts) + rng.choice([".", ".", ".", "?"]))

    def _fill(self, pattern: str, rng: random.Random) -> str:
        while match := CHOICE.search(pattern) or SLOT.search(pattern):
            pattern = pattern[: match.start()] + self._pick(match, rng) + pattern[match.end() :]
        return pattern

    def _pick(self, match: re.Match[str], rng: random.Random) -> str:
        if match.re is CHOICE:
            return rng.choice(match[1].split("|"))
        if match[1] == "alike":
            return rng.choice(rng.choice(self.alike))
        return rng.choice(self.slots[match[1]])

    @staticmethod
    def _finish(text: str) -> str:
        text = re.sub(r"\ba (?=[aeiou]|hour)", "a ", " ".join(text.split()))
        first = 1 if text[0] in "¿¡" else 0
        return text[:first] + text[first].upper() + text[first + 1 :]


@cache
def grammar(language: str) -> Grammar:
    """The grammar of one of LANGUAGES."""
    with (FOLDER / f"{language}.toml").open("rb") as file:
        raw = tomllib.load(file)
    return Grammar(
        language=language,
        share=raw["share"],
        voices=tuple(raw["voices"]),
        held_out_voices=tuple(raw["held_out_voices"]),
        alike=tuple(tuple(spellings) for spellings in raw["alike"]),
        slots=raw["slots"],
        patterns=raw["patterns"],
    )


@cache
def spelled_alike(language: str) -> dict[str, tuple[str, ...]]:
    """Each spelling of a name that sounds like another, with all spellings; the first is the usual one."""
    return {name: spellings for spellings in grammar(language).alike for name in spellings}
