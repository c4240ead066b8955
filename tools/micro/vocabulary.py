"""Whisper's tokens, and the rows of the small token table that training uses in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from whisper.tokenizer import Tokenizer, get_tokenizer

from tools.micro.sentences import LANGUAGES

SIZE = 51_865
TEXT_TOKENS = 50_257
CHARACTERS = " abcdefghijklmnopqrstuvwxyzäöüßáéíóúñ'"


@dataclass(frozen=True)
class Piece:
    """One token of a text, and where it begins and ends among the blank-separated words: 1.5 is mid-way in word 1."""

    token: int
    begin: float
    end: float


@cache
def whisper_tokenizer() -> Tokenizer:
    """The multilingual tokenizer of openai-whisper's own file."""
    return get_tokenizer(True, num_languages=99, language="en", task="transcribe")


def pieces(tokenizer: Tokenizer, text: str) -> list[Piece]:
    """The tokens of ' ' + text."""
    tokens = tokenizer.encoding.encode(" " + text)
    words = text.split()
    found: list[Piece] = []
    word, inside = -1, 0
    for token in tokens:
        raw = tokenizer.encoding.decode_single_token_bytes(token)
        if raw.startswith(b" "):
            word, inside, raw = word + 1, 0, raw[1:]
        size = len(words[word].encode())
        found.append(Piece(token, word + inside / size, word + min(1.0, (inside + len(raw)) / size)))
        inside += len(raw)
    return found


def characters(text: str) -> list[int]:
    """What the helper loss reads; 0 is its blank."""
    return [CHARACTERS.index(c) + 1 for c in text.lower() if c in CHARACTERS]


class Rows:
    """Which token stands in which row of the training's table; the last row stands for all tokens that no text uses."""

    def __init__(self, used: Iterable[int]) -> None:
        tokenizer = whisper_tokenizer()
        special = [tokenizer.sot, tokenizer.eot, tokenizer.transcribe, tokenizer.no_timestamps, tokenizer.sot_prev]
        special += [tokenizer.no_speech, *(tokenizer.to_language_token(name) for name in LANGUAGES)]
        self.tokens = sorted({*used, *special, *range(tokenizer.timestamp_begin, SIZE)})
        self.other = len(self.tokens)

    @cached_property
    def row_of(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """For each of Whisper's tokens its row."""
        rows = np.full(SIZE, self.other, np.int64)
        rows[self.tokens] = np.arange(len(self.tokens))
        return rows
