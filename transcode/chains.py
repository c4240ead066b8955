"""Ogg files are chains of recordings. ffmpeg stops, or hears noise, where a link differs from the one before it."""

import tempfile
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from transcode.errors import Rejected

# A link begins with one such page for each of its streams, one behind the other (RFC 3533).
_FIRST_PAGE = b"OggS\0\x02"
_HEADER_BYTES = 27
_MOST_PAGES = 1000
_MOST_PARTS = 16
# Of a first packet, the bytes that say how the sound is coded; others may differ from link to link.
_CODINGS = {
    b"OpusHead": (slice(9, 10), slice(18, None)),
    b"\x01vorbis": (slice(7, 16),),
    b"\x7fFLAC": (slice(27, 30),),
}


def parts(source: Path, folder: Path) -> list[BinaryIO]:
    """Files without a name in `folder`, each of one coding throughout; none when the whole file is. Raises Rejected."""
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as ogg:
        starts = changes(ogg)
        if len(starts) < 2:
            return []
        if len(starts) > _MOST_PARTS:
            raise Rejected("unsupported_format", "The recording changes its format too often.")
        return [_copied(ogg[start:end], folder) for start, end in pairwise([0, *starts[1:], len(ogg)])]


def changes(ogg: "bytes | mmap") -> list[int]:
    """The offsets of links that are coded in another way than the one before, the first link's among them."""
    links = _links(ogg)
    return [start for number, (start, coding) in enumerate(links) if not number or coding != links[number - 1][1]]


def _links(ogg: "bytes | mmap") -> list[tuple[int, bytes]]:
    """Where each link begins, and how all its streams are coded."""
    links: list[tuple[int, bytes]] = []
    at, behind = ogg.find(_FIRST_PAGE), -1
    for _ in range(_MOST_PAGES):
        if at < 0:
            break
        packet, end = _page(ogg, at)
        if at == behind:
            links[-1] = (links[-1][0], links[-1][1] + _coding(packet))
        else:
            links.append((at, _coding(packet)))
        behind = end
        at = ogg.find(_FIRST_PAGE, max(end, at + 1))
    return links


def _page(ogg: "bytes | mmap", at: int) -> tuple[bytes, int]:
    """What is in a page, and where it ends."""
    header = ogg[at : at + _HEADER_BYTES]
    table = at + _HEADER_BYTES + (header[-1] if len(header) == _HEADER_BYTES else 0)
    end = table + sum(ogg[at + _HEADER_BYTES : table])
    return ogg[table:end], end


def _coding(packet: bytes) -> bytes:
    for magic, telling in _CODINGS.items():
        if packet.startswith(magic):
            return magic + b"".join(packet[each] for each in telling)
    return packet


def _copied(content: bytes, folder: Path) -> BinaryIO:
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by whoever decodes it)
    file.write(content)
    file.seek(0)
    return file
