"""Where each word of a text begins, there and in the recording: pairs of little-endian uint16, four bytes a word."""

import struct
from bisect import bisect_right
from collections.abc import Sequence

_MOST = 0xFFFF


def pack(words: Sequence[tuple[int, int]]) -> bytes:
    """(place in the text in characters, start in ms), in order. What is beyond a minute and its text is left out."""
    fitting = [(place, start_ms) for place, start_ms in words if 0 <= place <= _MOST and 0 <= start_ms <= _MOST]
    return b"".join(struct.pack("<HH", *pair) for pair in fitting)


def unpack(packed: bytes) -> list[tuple[int, int]]:
    return list(struct.iter_unpack("<HH", packed))


def start_of(words: Sequence[tuple[int, int]], place: int) -> int | None:
    """When the word at this place of the text begins, in ms."""
    number = bisect_right([begin for begin, _ in words], place)
    return words[max(0, number - 1)][1] if words else None
