"""Hostile bytes to bounded PCM: the one place where ffmpeg meets a file from outside."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from transcode import chains, commands
from transcode.commands import PCM_RATE, SAMPLE_BYTES, Filters
from transcode.containers import HEAD_BYTES, OGG, Container, skip_id3, sniff
from transcode.errors import Rejected
from transcode.jail import Cell, Finished, run_jailed
from transcode.log import DecodeLog, read_log
from transcode.mending import mend
from transcode.settings import MEBIBYTE, TranscodeSettings
from transcode.threads import judge_threads
from transcode.verdict import judge, judge_hidden, may_hide_sound

# Channels of opposite polarity cancel out in the mix; one this much quieter than the recording has lost its sound.
_CANCELLED_DB = 15.0
_SILENCE_LUFS = -70.0


@dataclass(frozen=True)
class Sound:
    """`pcm`: mono 32-bit little-endian float at 48 kHz, finite and bounded, `samples` of them, no more than the limit
    allows.

    Loudness in LUFS (EBU R128, integrated; None: too quiet or too short to have one): of the recording as
    it came, and of its mono mix, which is what gets encoded.
    """

    pcm: Path
    samples: int
    recording_lufs: float | None
    mix_lufs: float | None


def decode(source: Path, folder: Path, settings: TranscodeSettings) -> Sound:
    """Decode the first audio track of `source` into `folder`.

    Raises Rejected when the file is at fault, OSError or JailError when the machine is, TranscodeFailed when that can't
    be told.
    """
    container = identify(source)
    sound = _decode(source, container, folder, commands.MIX, settings)
    if _cancelled_out(sound):
        return _decode(source, container, folder, commands.FIRST_CHANNEL, settings)
    return sound


def identify(source: Path) -> Container:
    """The container by the bytes of the file, also behind an ID3v2 tag of any size."""
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise Rejected("no_audio", "The file is empty.")
        behind_tags = skip_id3(head)
        if behind_tags >= len(head):
            file.seek(behind_tags)
            head = file.read(HEAD_BYTES) or head
    container = sniff(head)
    if container is None:
        raise Rejected("unsupported_format", "This is not an audio file of a kind that we can play.")
    return container


def _cancelled_out(sound: Sound) -> bool:
    mix_lufs = _SILENCE_LUFS if sound.mix_lufs is None else sound.mix_lufs
    return sound.recording_lufs is not None and mix_lufs < sound.recording_lufs - _CANCELLED_DB


def _decode(source: Path, container: Container, folder: Path, mono: Filters, settings: TranscodeSettings) -> Sound:
    with ExitStack() as opened:
        parts = [opened.enter_context(part) for part in chains.parts(source, folder)] if container is OGG else []
        try:
            return _decode_parts(parts, source, container, folder, mono, settings)
        except Rejected as rejected:
            if not parts or rejected.code != "corrupt":
                raise
    # A link that is damaged where it begins does not cost those before it.
    return _decode_parts([], source, container, folder, mono, settings)


def _decode_parts(
    parts: Sequence[BinaryIO],
    source: Path,
    container: Container,
    folder: Path,
    mono: Filters,
    settings: TranscodeSettings,
) -> Sound:
    """`parts` one behind the other, or `source` when there are none."""
    pcm = folder / "decoded.f32"
    finished = _decode_to(pcm, parts, source, container, mono, settings)
    samples = pcm.stat().st_size // SAMPLE_BYTES
    log = read_log(finished.log, inputs=len(parts) or 1)
    judge(finished, log, samples / PCM_RATE, settings)
    if may_hide_sound(log):
        judge_hidden(_count(source, container, settings), settings)
    # What had to be mended has led the meter astray.
    mended = mend(pcm)
    recording_lufs = None if mended else log.recording_lufs
    mix_lufs = recording_lufs if log.only_mono and not mended else _mix_lufs(pcm, settings)
    return Sound(pcm, samples, mix_lufs if recording_lufs is None else recording_lufs, mix_lufs)


def _decode_to(
    pcm: Path,
    parts: Sequence[BinaryIO],
    source: Path,
    container: Container,
    mono: Filters,
    settings: TranscodeSettings,
) -> Finished:
    fds = [os.open(source, os.O_RDONLY), os.open(source, os.O_RDONLY)]
    fds.append(os.open(pcm, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    whole, unedited, output = fds
    played = [part.fileno() for part in parts] or [whole]
    try:
        arguments = commands.decode(container, played, unedited, output, mono, settings)
        finished = _run(arguments, [*played, unedited, output], settings)
        if finished.returncode != 0:
            _prove_room(output, commands.pcm_bytes(settings))
        return finished
    finally:
        for fd in fds:
            os.close(fd)


def _prove_room(pcm: int, size: int) -> None:
    """A failed decode on a full disk says nothing about the file; raises OSError when the disk is full."""
    written = os.fstat(pcm).st_size
    os.posix_fallocate(pcm, 0, size)
    os.ftruncate(pcm, written)


def _count(source: Path, container: Container, settings: TranscodeSettings) -> DecodeLog:
    with source.open("rb") as file:
        finished = _run(commands.count_samples(container, file.fileno(), settings), [file.fileno()], settings)
    return read_log(finished.log)


def _mix_lufs(pcm: Path, settings: TranscodeSettings) -> float | None:
    with pcm.open("rb") as file:
        finished = _run(commands.meter(file.fileno()), [file.fileno()], settings)
    return read_log(finished.log).mix_lufs


def _run(arguments: list[str], fds: Sequence[int], settings: TranscodeSettings) -> Finished:
    cell = Cell(
        memory_bytes=settings.memory_bytes,
        cpu_s=settings.decode_cpu_s,
        wall_s=settings.process_wall_s,
        file_bytes=commands.pcm_bytes(settings) + MEBIBYTE,
    )
    finished = run_jailed(arguments, cell, settings.jail, fds)
    judge_threads(finished, cell, settings.jail)
    return finished
