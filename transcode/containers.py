"""Which audio container a file is, by its magic bytes alone; names and claimed types are never believed."""

from collections.abc import Callable
from dataclasses import dataclass

from transcode.frames import adts_frame_size, has_frames, mpeg_frame_size

HEAD_BYTES = 64 * 1024
ID3_HEADER_BYTES = 10


@dataclass(frozen=True)
class Container:
    """`demuxer` is ffmpeg's `-f`; `mime_type` and `extension` are for storing the original."""

    name: str
    demuxer: str
    mime_type: str
    extension: str


MP4 = Container("mp4", "mov", "audio/mp4", "m4a")
THREE_GP = Container("3gp", "mov", "audio/3gpp", "3gp")
QUICKTIME = Container("mov", "mov", "video/quicktime", "mov")
OGG = Container("ogg", "ogg", "audio/ogg", "ogg")
WEBM = Container("webm", "matroska", "audio/webm", "webm")
MATROSKA = Container("matroska", "matroska", "audio/x-matroska", "mka")
WAV = Container("wav", "wav", "audio/wav", "wav")
WAVE64 = Container("w64", "w64", "audio/x-w64", "w64")
FLAC = Container("flac", "flac", "audio/flac", "flac")
MP3 = Container("mp3", "mp3", "audio/mpeg", "mp3")
AAC = Container("aac", "aac", "audio/aac", "aac")
AC3 = Container("ac3", "ac3", "audio/ac3", "ac3")
AMR = Container("amr", "amr", "audio/amr", "amr")
AMR_WB = Container("amr-wb", "amr", "audio/amr-wb", "awb")
CAF = Container("caf", "caf", "audio/x-caf", "caf")
AIFF = Container("aiff", "aiff", "audio/aiff", "aiff")
ASF = Container("asf", "asf", "audio/x-ms-wma", "wma")
QCP = Container("qcp", "qcp", "audio/qcelp", "qcp")
AU = Container("au", "au", "audio/basic", "au")

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_WAVE64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_PREFIXES = (
    (b"OggS", OGG),
    (b"fLaC", FLAC),
    (b"#!AMR\n", AMR),
    (b"#!AMR-WB\n", AMR_WB),
    (b"caff", CAF),
    (b".snd", AU),
    (b"\x0b\x77", AC3),
    (_ASF_HEADER, ASF),
    (_WAVE64_RIFF, WAVE64),
)
_CHUNKED = {
    (b"RIFF", b"WAVE"): WAV,
    (b"RIFX", b"WAVE"): WAV,
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"RIFF", b"QLCM"): QCP,
    (b"FORM", b"AIFF"): AIFF,
    (b"FORM", b"AIFC"): AIFF,
}
_BOXES_BEFORE_FTYP = frozenset((b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"))
_STILL_IMAGE_BRANDS = frozenset((b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"avis", b"crx "))


def sniff(head: bytes) -> Container | None:
    """The container that `head` (a file's first bytes, at most 64 KiB are looked at) begins, or None.

    ID3v2 tags are skipped; one that fills the whole head is taken for the front of an MP3.
    """
    head = head[:HEAD_BYTES]
    start = skip_id3(head)
    if start and start >= len(head):
        return MP3
    return _first_match(head[start:], (_by_prefix, _chunked, _iso_media, _matroska, _framed))


def skip_id3(head: bytes) -> int:
    """The offset (bytes) behind all ID3v2 tags in front; it may lie beyond `head`."""
    start = 0
    while head[start : start + 3] == b"ID3" and len(head) >= start + ID3_HEADER_BYTES:
        seven_bit = head[start + 6 : start + ID3_HEADER_BYTES]
        size = (seven_bit[0] << 21) | (seven_bit[1] << 14) | (seven_bit[2] << 7) | seven_bit[3]
        has_footer = bool(head[start + 5] & 0x10)
        start += ID3_HEADER_BYTES + size + (ID3_HEADER_BYTES if has_footer else 0)
    return start


def _first_match(head: bytes, recognisers: tuple[Callable[[bytes], Container | None], ...]) -> Container | None:
    return next((found for recognise in recognisers if (found := recognise(head))), None)


def _by_prefix(head: bytes) -> Container | None:
    return next((container for prefix, container in _PREFIXES if head.startswith(prefix)), None)


def _chunked(head: bytes) -> Container | None:
    return _CHUNKED.get((head[:4], head[8:12]))


def _iso_media(head: bytes) -> Container | None:
    box, brand = head[4:8], head[8:12]
    if box == b"ftyp":
        return _by_brand(brand)
    if box in _BOXES_BEFORE_FTYP and int.from_bytes(head[:4], "big") != 0:
        return QUICKTIME
    return None


def _by_brand(brand: bytes) -> Container | None:
    if brand in _STILL_IMAGE_BRANDS:
        return None
    if brand.startswith((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg", b"3g2")):
        return THREE_GP
    return QUICKTIME if brand == b"qt  " else MP4


def _matroska(head: bytes) -> Container | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return WEBM if b"webm" in head[:64] else MATROSKA


def _framed(head: bytes) -> Container | None:
    """MPEG audio and ADTS have no magic, only frames that follow each other without a gap."""
    if has_frames(head, adts_frame_size):
        return AAC
    return MP3 if has_frames(head, mpeg_frame_size) else None
