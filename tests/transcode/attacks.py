"""Files made to hurt: each function returns the bytes of one kind."""

import io
import random
import struct
import zipfile

HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n%s\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '%s'\n"
DASH = b"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
 mediaPresentationDuration="PT5S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet
 mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>%s</BaseURL></Representation></AdaptationSet>
 </Period></MPD>"""
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio %s RTP/AVP 0\n"


def avi_with_playlist(playlist: bytes) -> bytes:
    """The AVI whose subtitle track is a playlist, that ffmpeg once followed."""
    subtitles = b"GAB2\0\x02\0" + struct.pack("<I", 0) + b"\x04\0" + struct.pack("<I", len(playlist)) + playlist
    movie = (
        b"LIST" + struct.pack("<I", len(subtitles) + 12) + b"movi01tx" + struct.pack("<I", len(subtitles)) + subtitles
    )
    return b"RIFF" + struct.pack("<I", len(movie) + 4) + b"AVI " + movie


def wav(
    data: bytes, rate: int = 48_000, channels: int = 1, bits: int = 16, claimed: int | None = None, coding: int = 1
) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", coding, channels & 0xFFFF, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    size = len(data) if claimed is None else claimed
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("voice.mp3", bytes(20_000))
    return content.getvalue()


def one_edit(m4a: bytes, first_ms: int, length_ms: int) -> bytes:
    """The file with its edit list showing only `length_ms` from `first_ms` on; everything counts in 1/48,000 s."""
    at = m4a.index(b"elst")
    entries = struct.unpack(">I", m4a[at + 8 : at + 12])[0]
    assert entries == 1
    edit = struct.pack(">Ii", length_ms * 48, first_ms * 48)
    return m4a[: at + 12] + edit + m4a[at + 20 :]


def encrypted(m4a: bytes) -> bytes:
    """The file as a protected one: sample entry `enca`, its packets scrambled."""
    at, data = m4a.index(b"mp4a"), m4a.index(b"mdat") + 4
    end = data - 8 + struct.unpack(">I", m4a[data - 8 : data - 4])[0]
    scrambled = bytes(byte ^ (0x5A + 31 * place & 0xFF) for place, byte in enumerate(m4a[data:end]))
    whole = bytearray(m4a[:data] + scrambled + m4a[end:])
    whole[at : at + 4] = b"enca"
    return bytes(whole)


def empty_mdat(m4a: bytes) -> bytes:
    """The file without the sound that its index promises."""
    at = m4a.index(b"mdat") - 4
    size = struct.unpack(">I", m4a[at : at + 4])[0]
    return m4a[:at] + box(b"mdat", b"") + m4a[at + size :]


def endless_flac(rate: int = 8_000, frames: int = 60) -> bytes:
    """A few hundred bytes that decode to minutes: constant blocks of 65,535 samples."""
    info = struct.pack(">HH", 16, 65535) + bytes(6) + struct.pack(">Q", rate << 44 | 0 << 41 | 15 << 36) + bytes(16)
    return b"fLaC\x80" + struct.pack(">I", len(info))[1:] + info + b"".join(map(_constant_frame, range(frames)))


def _constant_frame(number: int) -> bytes:
    header = b"\xff\xf8" + bytes([0b0111_0000, 0b0000_1000]) + chr(number).encode() + struct.pack(">H", 65534)
    header += bytes([_crc(header, 0x07, 8)])
    frame = header + b"\0" + struct.pack(">h", 0)
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _crc(data: bytes | bytearray, polynomial: int, bits: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
    return value


# Speech modes from 6.6 to 23.85 kbit/s, and the bytes that follow a frame's header (RFC 4867).
AMR_WB_MODES = {0: 17, 2: 32, 8: 60}


def amr_wb(mode: int, payload_bytes: int, frames: int) -> bytes:
    """Noise: nothing here encodes AMR-WB, and any bits are a frame of 20 ms."""
    noise = random.Random(mode)
    return b"#!AMR-WB\n" + b"".join(bytes([mode << 3 | 4]) + noise.randbytes(payload_bytes) for _ in range(frames))


def caf_opus(ogg: bytes) -> bytes:
    """The packets of an Ogg Opus file in a CAF, as iMessage records them (mono, 20 ms packets)."""
    packets = ogg_packets(ogg)[2:]
    description = struct.pack(">d4sIIIII", 48_000, b"opus", 0, 0, 960, 1, 0)
    table = struct.pack(">QQII", len(packets), len(packets) * 960, 0, 0) + b"".join(map(_caf_size, map(len, packets)))
    chunks = ((b"desc", description), (b"pakt", table), (b"data", bytes(4) + b"".join(packets)))
    return b"caff\0\1\0\0" + b"".join(kind + struct.pack(">q", len(body)) + body for kind, body in chunks)


def ogg_packets(ogg: bytes) -> list[bytes]:
    packets, at, unfinished = [], 0, b""
    while at < len(ogg):
        lacing = ogg[at + 27 : at + 27 + ogg[at + 26]]
        at += 27 + len(lacing)
        for size in lacing:
            unfinished += ogg[at : at + size]
            at += size
            if size < 255:
                packets.append(unfinished)
                unfinished = b""
    return packets


def vorbis_of_rate(ogg: bytes, rate: int) -> bytes:
    """The file with another sample rate in its header, whose page is whole again."""
    at = ogg.index(b"\x01vorbis") + 12
    end = ogg.index(b"OggS", 4)
    page = bytearray(ogg[:at] + struct.pack("<I", rate) + ogg[at + 4 : end])
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _crc(page, 0x04C11DB7, 32))
    return bytes(page) + ogg[end:]


def _caf_size(size: int) -> bytes:
    return bytes([size]) if size < 128 else bytes([0x80 | size >> 7, size & 0x7F])
