"""Frame headers of the two streams that begin without magic bytes: MPEG audio (MP3, MP2) and ADTS AAC."""

from collections.abc import Callable

# A chain this long does not come up by chance in text, archives or images.
_FRAMES_AT_START = 2
_FRAMES_BEHIND_GARBAGE = 4
_GARBAGE_BYTES = 16 * 1024

_SAMPLE_RATES = (44100, 48000, 32000)
_KBITS_V1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBITS_V2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

FrameSize = Callable[[bytes, int], int]


def has_frames(head: bytes, frame_size: FrameSize) -> bool:
    """Whether frames follow each other from the start, or a longer chain of them after a little garbage."""
    if _chain(head, 0, frame_size, _FRAMES_AT_START):
        return True
    starts = (at for at in range(1, min(len(head), _GARBAGE_BYTES)) if head[at] == 0xFF)
    return any(_chain(head, at, frame_size, _FRAMES_BEHIND_GARBAGE) for at in starts)


def mpeg_frame_size(head: bytes, at: int) -> int:
    """Bytes of the MPEG audio frame at `at` (ISO 11172-3, 13818-3), or 0 where there is none."""
    header = int.from_bytes(head[at : at + 4], "big")
    version, layer = (header >> 19) & 3, 4 - ((header >> 17) & 3)
    kbits_index, rate_index = (header >> 12) & 15, (header >> 10) & 3
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or kbits_index in (0, 15) or rate_index == 3:
        return 0
    kbits = (_KBITS_V1 if version == 3 else _KBITS_V2)[layer][kbits_index - 1]
    rate = _SAMPLE_RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    padding = (header >> 9) & 1
    if layer == 1:
        return (12000 * kbits // rate + padding) * 4
    return (72000 if layer == 3 and version != 3 else 144000) * kbits // rate + padding


def adts_frame_size(head: bytes, at: int) -> int:
    """Bytes of the ADTS frame at `at` (ISO 13818-7), or 0 where there is none."""
    header = head[at : at + 7]
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or (header[2] >> 2) & 15 > 12:
        return 0
    size = ((header[3] & 3) << 11) | (header[4] << 3) | (header[5] >> 5)
    return size if size > 7 else 0


def _chain(head: bytes, at: int, frame_size: FrameSize, frames: int) -> bool:
    for _ in range(frames):
        size = frame_size(head, at)
        if not size:
            return False
        at += size
        if at == len(head):
            return True
    return True
