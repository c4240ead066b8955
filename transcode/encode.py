"""Bounded PCM to what people play and what the speech engine hears, in one process."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from transcode.commands import PCM_RATE
from transcode.decode import Sound
from transcode.errors import JailError, TranscodeFailed
from transcode.jail import Cell, Finished, run_jailed
from transcode.levels import Level, level
from transcode.log import lacks_machine
from transcode.settings import MEBIBYTE, TranscodeSettings
from transcode.threads import judge_threads

SPEECH_RATE = 16_000
# The limiter sees samples, not what lies between them, and codecs overshoot what they are given: by up to 2 dB,
# measured with the options below. AAC's other coder (twoloop) overshoots by up to 3.8 dB and takes twice the time.
_OVERSHOOT_DB = 2.0
_OUTPUT_BYTES = 8 * MEBIBYTE

_STRIPPED = {"map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}


@dataclass(frozen=True)
class Rendition:
    """One encoded file: `format` is m4a or opus, `size` in bytes, `sha256` in hex."""

    format: str
    path: Path
    mime_type: str
    extension: str
    size: int
    sha256: str


def encode(
    sound: Sound, samples: NDArray[np.float32], folder: Path, settings: TranscodeSettings
) -> tuple[tuple[Rendition, ...], Path]:
    """The renditions (m4a first) and the speech FLAC of `sound`, whose PCM holds `samples`."""
    chosen = level(samples, sound.mix_lufs, settings.true_peak_dbtp - _OVERSHOOT_DB, settings)
    with sound.pcm.open("rb") as pcm:
        split = _source(pcm).filter_multi_output("asplit", 2)
        levelled = _levelled(split[0], chosen).filter_multi_output("asplit", 2)
        outputs = (_m4a(levelled[0], settings), _opus(levelled[1], settings), _speech(split[1]))
        _run(ffmpeg.merge_outputs(*outputs), pcm, folder, settings)
    renditions = (
        _rendition("m4a", folder / "message.m4a", "audio/mp4"),
        _rendition("opus", folder / "message.ogg", "audio/ogg"),
    )
    return renditions, folder / "speech.flac"


def encode_speech(sound: Sound, folder: Path, settings: TranscodeSettings) -> Path:
    """Only the speech FLAC: 16 kHz, mono, 16 bit, at the level of the recording."""
    with sound.pcm.open("rb") as pcm:
        _run(_speech(_source(pcm)), pcm, folder, settings)
    return folder / "speech.flac"


def _source(pcm: BinaryIO) -> ffmpeg.nodes.FilterableStream:
    return ffmpeg.input("fd:", fd=pcm.fileno(), f="f32le", ar=PCM_RATE, ac=1, protocol_whitelist="fd")["a:0"]


def _levelled(stream: ffmpeg.nodes.FilterableStream, level: Level) -> ffmpeg.nodes.FilterableStream:
    louder = stream.filter("volume", f"{level.gain_db:.2f}dB", precision="float")
    if level.ceiling_db is None:
        return louder
    return louder.filter("alimiter", limit=f"{level.ceiling_db:.2f}dB", level=0, latency=1)


def _m4a(stream: ffmpeg.nodes.FilterableStream, settings: TranscodeSettings) -> ffmpeg.nodes.OutputStream:
    options = {"c:a": "aac", "aac_coder": "fast", "b:a": settings.m4a_bitrate, "movflags": "+faststart", "f": "ipod"}
    return ffmpeg.output(stream, "file:message.m4a", **options, **_STRIPPED)


def _opus(stream: ffmpeg.nodes.FilterableStream, settings: TranscodeSettings) -> ffmpeg.nodes.OutputStream:
    """Not `voip`: its high-pass takes up to 1 LU from recordings near a microphone and lifts their peaks by 2.6 dB.

    `audio` finds out by itself what is speech.
    """
    options = {"c:a": "libopus", "b:a": settings.opus_bitrate, "application": "audio", "f": "ogg"}
    return ffmpeg.output(stream, "file:message.ogg", **options, **_STRIPPED)


def _speech(stream: ffmpeg.nodes.FilterableStream) -> ffmpeg.nodes.OutputStream:
    options = {"c:a": "flac", "ar": SPEECH_RATE, "sample_fmt": "s16", "f": "flac"}
    return ffmpeg.output(stream, "file:speech.flac", **options, **_STRIPPED)


def _run(command: ffmpeg.nodes.OutputStream, pcm: BinaryIO, folder: Path, settings: TranscodeSettings) -> None:
    quiet = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error")
    arguments = ffmpeg.get_args(command.global_args(*quiet), overwrite_output=True)
    cell = Cell(
        memory_bytes=settings.memory_bytes,
        cpu_s=settings.encode_cpu_s,
        wall_s=settings.process_wall_s,
        file_bytes=_OUTPUT_BYTES,
        writable=folder.resolve(),
    )
    finished = run_jailed(arguments, cell, settings.jail, (pcm.fileno(),))
    judge_threads(finished, cell, settings.jail)
    if finished.returncode != 0:
        raise _failure(finished)


def _failure(finished: Finished) -> Exception:
    """An encoder that gives up by itself does so again; one that was killed, or had no room, may not."""
    by_itself = finished.returncode > 0 and not lacks_machine(finished.log)
    kind = TranscodeFailed if by_itself else JailError
    return kind(f"encoding failed ({finished.returncode}): {finished.log[-300:]}")


def _rendition(name: str, path: Path, mime_type: str) -> Rendition:
    content = path.read_bytes()
    return Rendition(name, path, mime_type, path.suffix[1:], len(content), hashlib.sha256(content).hexdigest())
