"""Prefixed ids that sort by time of creation: prefix, 48 bits of milliseconds, 80 random bits (a ULID)."""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PATTERN = re.compile(rf"[a-z]{{3}}_[{_ALPHABET}]{{26}}")


def new_id(prefix: str, at: float | None = None) -> str:
    """A new id such as `msg_01hzy…`; prefixes: thr msg upl tra rep whk job. It sorts by `at`, Unix time, or by now."""
    made_ms = time.time_ns() // 1_000_000 if at is None else int(at * 1000)
    return _written(prefix, (made_ms << 80) | secrets.randbits(80))


def first_id(prefix: str, at: float) -> str:
    """Ids made earlier sort before it, later ones behind it."""
    return _written(prefix, max(0, int(at * 1000)) << 80)


def _written(prefix: str, number: int) -> str:
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def is_id(prefix: str, text: str) -> bool:
    return text.startswith(prefix + "_") and _PATTERN.fullmatch(text) is not None


def made_at(text: str) -> float:
    """Unix time at which an id was made; 0 for what is no id."""
    if not is_id(text[:3], text):
        return 0.0
    number = sum(_ALPHABET.index(letter) << shift for letter, shift in zip(text[4:], range(125, -1, -5), strict=True))
    return (number >> 80) / 1000
