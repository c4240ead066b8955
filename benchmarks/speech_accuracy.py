"""How right each side of a speech comparison is: words, language, and where words begin."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import jiwer
import numpy as np

from benchmarks.load import Message
from benchmarks.speech_sides import Read

MOST_WER_POINTS = 0.2
# Fewer words in a row may be the same by chance; then there is no telling which word is which.
SURELY_THE_SAME = 3
Starts = dict[tuple[int, int], float]


def accuracy(messages: Sequence[Message], reads: Sequence[Read]) -> dict[str, Any]:
    """Word error rate in percent, share of messages in the right language, and how far off words begin."""
    found: dict[str, Any] = {
        "wer_percent": round(_wer_percent(messages, reads), 2),
        "language_right": round(_language_right(messages, reads), 4),
    }
    errors = _start_errors(messages, reads)
    return found | (
        {"words_timed": len(errors), "word_start_error_ms": _spread(list(errors.values()))} if errors else {}
    )


def compared(messages: Sequence[Message], mine: Sequence[Read], others: Sequence[Read]) -> dict[str, Any]:
    """What is asked of ours beside theirs: words and language no worse, word starts as near where both are right."""
    found: dict[str, Any] = {
        "wer_points": round(_wer_percent(messages, mine) - _wer_percent(messages, others), 2),
        "wer_points_at_most": MOST_WER_POINTS,
        "language_points": round(100 * (_language_right(messages, mine) - _language_right(messages, others)), 2),
        "language_points_at_least": 0.0,
    }
    ours, theirs = _start_errors(messages, mine), _start_errors(messages, others)
    same = sorted(ours.keys() & theirs.keys())
    if same:
        found |= {
            "same_words": len(same),
            "word_start_error_ms": _spread([ours[word] for word in same]),
            "word_start_error_ms_at_most": _spread([theirs[word] for word in same]),
        }
    return found


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split())


def _wer_percent(messages: Sequence[Message], reads: Sequence[Read]) -> float:
    return 100 * float(jiwer.wer([plain(message.text) for message in messages], [plain(r.text) or "-" for r in reads]))


def _language_right(messages: Sequence[Message], reads: Sequence[Read]) -> float:
    return sum(m.language == read.language for m, read in zip(messages, reads, strict=True)) / len(messages)


def _start_errors(messages: Sequence[Message], reads: Sequence[Read]) -> Starts:
    """Seconds from where a word begins, by message and word; only where words in a row are right."""
    errors: Starts = {}
    for number, (message, read) in enumerate(zip(messages, reads, strict=True)):
        said, heard = [plain(word) for word in message.text.split()], [plain(word) for word, _ in read.words]
        for block in SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks():
            for offset in range(block.size if block.size >= SURELY_THE_SAME else 0):
                word = block.a + offset
                errors[number, word] = read.words[block.b + offset][1] - message.word_starts[word]
    return errors


def _spread(errors: Sequence[float]) -> dict[str, int]:
    off = 1000 * np.abs(errors)
    return {"median": round(np.median(off)), "mean": round(np.mean(off)), "p90": round(np.quantile(off, 0.9))}
