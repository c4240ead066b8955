"""Prefixed ids that sort by time of creation: prefix, 48 bits of milliseconds, 80 random bits (a ULID)."""

import os
import re
import time
from collections import deque

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_TIME_LETTERS, _RANDOM_LETTERS = 10, 16
# The last ones of the time: 1024 ms.
_LETTERS_OF_A_SECOND = 2
# Five random bits of each byte, as a letter.
_LETTERS = bytes(ord(_ALPHABET[byte % 32]) for byte in range(256))
# Asked for as one: each question lets another thread have the interpreter, and waits for its turn to get it back.
_AT_ONCE = 256
_random: deque[str] = deque()
os.register_at_fork(after_in_child=_random.clear)
_PATTERN = re.compile(rf"[a-z]{{3}}_[{_ALPHABET}]{{26}}")


def new_id(prefix: str, at: float | None = None, random: str | None = None) -> str:
    """A new id such as `msg_01hzy…`; prefixes: thr msg upl tra rep whk job. It sorts by `at`, Unix time, or by now.
    `random` is of `randomness`, for an id that is made of it later."""
    made_ms = time.time_ns() // 1_000_000 if at is None else int(at * 1000)
    return f"{prefix}_{_time(made_ms)}{random or randomness()}"


def first_id(prefix: str, at: float) -> str:
    """Ids made earlier sort before it, later ones behind it."""
    return f"{prefix}_{_time(max(0, int(at * 1000)))}{'0' * _RANDOM_LETTERS}"


def beginnings(prefix: str, since: float, until: float) -> list[str]:
    """What ids made between these Unix times begin with, and ids of about a second more."""
    group_ms = 1 << 5 * _LETTERS_OF_A_SECOND
    groups = range(int(since * 1000) // group_ms, int(until * 1000) // group_ms + 1)
    return [f"{prefix}_{_time(group * group_ms)[:-_LETTERS_OF_A_SECOND]}" for group in groups]


def _time(made_ms: int) -> str:
    return "".join([_PAIRS[made_ms >> shift & 1023] for shift in range(40, -1, -10)])


def randomness() -> str:
    """The random part of an id; nobody else is given the same."""
    try:
        return _random.pop()
    except IndexError:
        fresh = os.urandom(_AT_ONCE * _RANDOM_LETTERS).translate(_LETTERS).decode()
        ends = range(_RANDOM_LETTERS, len(fresh), _RANDOM_LETTERS)
        _random.extend(fresh[at : at + _RANDOM_LETTERS] for at in ends)
        return fresh[:_RANDOM_LETTERS]


def randomness_of(text: str) -> str:
    """The random part of an id, or the last letters of what is no id."""
    return text[-_RANDOM_LETTERS:]


def is_id(prefix: str, text: str) -> bool:
    return text.startswith(prefix + "_") and _PATTERN.fullmatch(text) is not None


def made_at(text: str) -> float:
    """Unix time at which an id was made; 0 for what is no id."""
    if not is_id(text[:3], text):
        return 0.0
    letters = text[4 : 4 + _TIME_LETTERS]
    shifts = range(5 * (_TIME_LETTERS - 1), -1, -5)
    return sum(_ALPHABET.index(letter) << shift for letter, shift in zip(letters, shifts, strict=True)) / 1000
