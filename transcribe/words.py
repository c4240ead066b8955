"""Word times: forced alignment of decoded tokens, then words, then sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from transcribe.transcript import Segment, Word

POSITIONS_PER_SECOND = 50
OPENING = "\"'“¿¡([{-«„"
CLOSING = "\"'.。,，!！?？:：;”)]}、»…-"
SENTENCE_END = ".?!。？！…"
SENTENCE_PAUSE_S = 1.0
LONGEST_WORD_S = 1.2


@dataclass(frozen=True)
class Timed:
    """A word as the tokenizer spells it (leading space kept) with times in seconds."""

    start: float
    end: float
    text: str
    probability: float


def align_rows(
    model: Any, encoded: Any, tokenizer: Any, tokens: Sequence[Sequence[int]], frames: Sequence[int]
) -> list[list[Timed]]:
    """Words of each row. All rows are of the tokenizer's language; `frames` are the mel frames of real audio."""
    rows = [list(row) for row in tokens]
    results = model.align(encoded, tokenizer.sot_sequence, rows, list(frames))
    return [_words(result, row, tokenizer) for result, row in zip(results, rows, strict=True)]


def _words(result: Any, tokens: list[int], tokenizer: Any) -> list[Timed]:
    texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    if len(groups) < 2:
        return []
    token_times = _token_starts(result.alignments)
    bounds = np.cumsum([0] + [len(group) for group in groups[:-1]])
    words = [
        Timed(
            float(token_times[first]),
            float(token_times[last]),
            text,
            float(np.mean(result.text_token_probs[first:last])),
        )
        for text, (first, last) in zip(texts[:-1], pairwise(bounds), strict=True)
        if last < len(token_times)
    ]
    return _joined(words)


def _token_starts(path: Sequence[tuple[int, int]]) -> Any:
    """Seconds at which the alignment path enters each token, the end token included."""
    tokens, positions = np.array(path).T
    entered = np.diff(tokens, prepend=-1) > 0
    return positions[entered] / POSITIONS_PER_SECOND


def _joined(pieces: list[Timed]) -> list[Timed]:
    """Punctuation belongs to the word it touches."""
    words: list[Timed] = []
    opening: Timed | None = None
    for piece in pieces:
        bare = piece.text.strip()
        if opening is not None:
            piece = replace(piece, text=opening.text + piece.text.lstrip())
            opening = None
        if bare and all(c in CLOSING for c in bare) and words and not piece.text.startswith(" "):
            words[-1] = replace(words[-1], text=words[-1].text + bare)
        elif bare and all(c in OPENING for c in bare):
            opening = piece
        elif bare:
            words.append(piece)
    return words


def placed(words: Sequence[Timed], offset_s: float, end_s: float, voiced: Sequence[tuple[float, float]]) -> list[Timed]:
    """Times from the start of the recording: in the window, never going back, no word in a pause or absurdly long."""
    result: list[Timed] = []
    earliest = offset_s
    for word in words:
        start, end = _out_of_pauses(offset_s + word.start, offset_s + word.end, voiced)
        start = min(max(earliest, start), end_s)
        end = min(max(start, end), end_s)
        if end - start > LONGEST_WORD_S:
            # The alignment gives a pause to a neighbouring word: to the next one after a sentence, else to the last.
            opens = not result or result[-1].text[-1] in SENTENCE_END
            start, end = (end - LONGEST_WORD_S, end) if opens else (start, start + LONGEST_WORD_S)
        result.append(replace(word, start=start, end=end))
        earliest = end
    return result


def _out_of_pauses(start: float, end: float, voiced: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A word that reaches into a pause begins where the speech does, and ends where it does."""
    for (_, pause_start), (pause_end, _) in pairwise([(0.0, 0.0), *voiced, (end, end)]):
        if pause_start <= start < pause_end < end:
            start = pause_end
        if start < pause_start < end <= pause_end:
            end = pause_start
    return start, end


def sentences(words: Sequence[Timed]) -> list[Segment]:
    """Split behind sentence marks and in long pauses."""
    segments: list[Segment] = []
    first = 0
    for last, word in enumerate(words):
        following = words[last + 1] if last + 1 < len(words) else None
        ends = word.text.rstrip("\"'”’)»")[-1:] in SENTENCE_END
        if following is None or ends or following.start - word.end >= SENTENCE_PAUSE_S:
            segments.append(_segment(words[first : last + 1]))
            first = last + 1
    return segments


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _segment(words: Sequence[Timed]) -> Segment:
    text = "".join(word.text for word in words).strip()
    return Segment(milliseconds(words[0].start), milliseconds(words[-1].end), text, tuple(map(_word, words)))


def _word(word: Timed) -> Word:
    probability = round(min(1.0, max(0.0, word.probability)), 4)
    return Word(milliseconds(word.start), milliseconds(word.end), word.text.strip(), probability)
