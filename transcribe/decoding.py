"""Greedy decoding of one row group on one encoder output, and the judgement of what came out."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FRAMES_PER_SECOND = 100
FULL_FRAMES = 3000
# Whisper's decoder has 448 positions; half of them belong to the prompt.
MAX_LENGTH = 448
PROMPT_BUDGET = MAX_LENGTH // 2 - 1
# The densest scripts take about 15 tokens per second of fast speech; a row that needs more is looping.
TOKENS_PER_SECOND = 15.0
SPARE_TOKENS = 16
# The fastest speakers reach 22 a second, in short words a little more.
LETTERS_PER_SECOND = 30.0
SPARE_LETTERS = 10


@dataclass(frozen=True)
class Policy:
    """When a row counts as failed and what is then tried. None switches a check off."""

    lowest_logprob: float | None = -1.0
    highest_compression: float | None = 2.4
    no_speech: float | None = 0.6
    temperatures: tuple[float, ...] = (0.4, 0.8)
    # Fewer tokens than this for the speech there is: look where the text ends, and read on behind it.
    read_on: bool = True
    sparse_tokens_per_second: float = 2.0
    tokens_per_second: float = TOKENS_PER_SECOND
    spare_tokens: int = SPARE_TOKENS
    letters_per_second: float | None = LETTERS_PER_SECOND
    suppress_end: bool = False

    def cap(self, frames: int) -> int:
        """Most new tokens of a row; from the context alone, so that it is the same in every company."""
        tokens = self.spare_tokens + math.ceil(self.tokens_per_second * frames / FRAMES_PER_SECOND)
        return min(tokens, MAX_LENGTH // 2)


@dataclass(frozen=True)
class Reading:
    """What the model read in one row. `tokens` are text tokens only, of the `generated` ones."""

    tokens: tuple[int, ...]
    generated: int
    text: str
    avg_logprob: float
    no_speech: float
    capped: bool

    @property
    def compression(self) -> float:
        data = self.text.encode()
        return len(data) / len(zlib.compress(data))

    def failed(self, policy: Policy) -> bool:
        # Written so that a log-probability that is no number has failed.
        improbable = policy.lowest_logprob is not None and not self.avg_logprob >= policy.lowest_logprob
        return improbable or self.looped(policy)

    def looped(self, policy: Policy) -> bool:
        if policy.highest_compression is None:
            return False
        return self.capped or self.compression > policy.highest_compression

    def silent(self, policy: Policy) -> bool:
        """The model says itself that nobody speaks, and is not sure of its text."""
        if policy.no_speech is None or policy.lowest_logprob is None:
            return False
        return self.no_speech > policy.no_speech and self.avg_logprob < policy.lowest_logprob

    def hurried(self, policy: Policy, voiced_s: float) -> bool:
        """Nobody says so much in so short a time: a knock or a chirp passed for a voice, and the model made it up."""
        if policy.letters_per_second is None:
            return False
        return len(self.text) > policy.letters_per_second * voiced_s + SPARE_LETTERS


def generate(
    model: Any,
    encoded: Any,
    prompts: Sequence[Sequence[int]],
    *,
    tokenizer: Any,
    suppressed: Sequence[int],
    cap: int,
    temperature: float = 0.0,
) -> list[Reading]:
    """One reading per row. All prompts have one length: the model wants its start token at one index."""
    # The model halves max_length, or takes off the prompt where that leaves less.
    longest = max(2 * cap, len(prompts[0]) + cap)
    sampling = {"sampling_topk": 0, "sampling_temperature": temperature} if temperature else {}
    results = model.generate(
        encoded,
        [list(prompt) for prompt in prompts],
        beam_size=1,
        max_length=min(MAX_LENGTH, longest),
        return_scores=True,
        return_no_speech_prob=True,
        suppress_tokens=list(suppressed),
        **sampling,
    )
    return [_reading(result, tokenizer, cap) for result in results]


def best_reading(readings: Sequence[Reading], policy: Policy) -> Reading:
    """None of them passed: the most probable of those that at least do not loop."""
    return max(readings, key=lambda reading: (not reading.looped(policy), reading.avg_logprob))


def _reading(result: Any, tokenizer: Any, cap: int) -> Reading:
    ids = result.sequences_ids[0]
    tokens = tuple(token for token in ids if token < tokenizer.eot)
    # The score is the mean over the tokens, not a number without any; the end token takes part in faster-whisper's
    # average too.
    average = result.scores[0] * len(ids) / (len(ids) + 1) if ids else -math.inf
    return Reading(
        tokens, len(ids), tokenizer.decode(list(tokens)).strip(), average, result.no_speech_prob, len(ids) >= cap
    )
