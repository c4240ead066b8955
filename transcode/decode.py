"""Hostile bytes to bounded PCM: the one place where ffmpeg meets a file from outside."""

import os
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from transcode.containers import HEAD_BYTES, Container, skip_id3, sniff
from transcode.errors import Rejected
from transcode.jail import Cell, Finished, run_jailed
from transcode.log import DecodeLog, read_log
from transcode.settings import MEBIBYTE, TranscodeSettings
from transcode.verdict import judge

PCM_RATE = 48_000
SAMPLE_BYTES = 4
# A second more than the limit is enough to know that it was passed.
_SPARE_S = 1
# Channels of opposite polarity cancel out in the mix; a mix this much quieter than the recording has lost its sound.
_CANCELLED_DB = 15.0

_DECODERS = (
    "aac,aac_latm,ac3,eac3,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,evrc,flac,"
    "g722,g726,g726le,gsm,gsm_ms,ilbc,mp1float,mp1,mp2float,mp2,mp3float,mp3,opus,"
    "libopus,vorbis,libvorbis,speex,qcelp,wmav1,wmav2,wmapro,wmavoice,wmalossless,"
    "adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_yamaha,mace3,mace6,pcm_alaw,pcm_mulaw,pcm_u8,"
    "pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,"
    "pcm_f64le,pcm_f64be,pcm_s8_planar,pcm_s16le_planar,pcm_u16le,pcm_u16be"
)


@dataclass(frozen=True)
class Sound:
    """`pcm`: mono 32-bit little-endian float at 48 kHz, `samples` of them, no longer than the limit allows.

    Loudness in LUFS (EBU R128, integrated; None: too quiet or too short to have one): of the recording as
    it came, and of its mono mix, which is what gets encoded.
    """

    pcm: Path
    samples: int
    recording_lufs: float | None
    mix_lufs: float | None


def decode(source: Path, folder: Path, settings: TranscodeSettings) -> Sound:
    """Decode the first audio track of `source` into `folder`.

    Raises Rejected when the file is at fault, OSError or JailError when the machine is.
    """
    container = identify(source)
    sound = _decode(source, container, folder, settings, _MIX)
    if sound.recording_lufs is not None and (sound.mix_lufs or -70.0) < sound.recording_lufs - _CANCELLED_DB:
        return _decode(source, container, folder, settings, _FIRST_CHANNEL)
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


_MIX = (("aresample", {"rematrix_maxval": "1.0"}), ("aformat", {"channel_layouts": "mono"}))
_FIRST_CHANNEL = (("pan", {"args": "mono|c0=c0"}),)
_Filters = tuple[tuple[str, dict[str, str]], ...]


def _decode(source: Path, container: Container, folder: Path, settings: TranscodeSettings, mono: _Filters) -> Sound:
    pcm = folder / "decoded.f32"
    finished = _run(source, container, pcm, settings, mono)
    samples = pcm.stat().st_size // SAMPLE_BYTES
    log = read_log(finished.log)
    if finished.returncode != 0:
        _prove_room(pcm, _pcm_bytes(settings))
    judge(finished, log, samples / PCM_RATE, settings)
    return Sound(pcm, samples, log.recording_lufs, _mix_lufs(log, pcm, settings))


def _run(source: Path, container: Container, pcm: Path, settings: TranscodeSettings, mono: _Filters) -> Finished:
    cell = Cell(
        memory_bytes=settings.memory_bytes,
        cpu_s=settings.decode_cpu_s,
        wall_s=settings.process_wall_s,
        file_bytes=_pcm_bytes(settings) + MEBIBYTE,
    )
    played, hidden = os.open(source, os.O_RDONLY), os.open(source, os.O_RDONLY)
    output = os.open(pcm, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    fds = (played, hidden, output)
    try:
        return run_jailed(_arguments(container, fds, settings, mono), cell, settings.jail, fds)
    finally:
        for fd in fds:
            os.close(fd)


def _arguments(
    container: Container, fds: tuple[int, int, int], settings: TranscodeSettings, mono: _Filters
) -> list[str]:
    played, hidden, output = fds
    outputs = [_pcm_output(_input(container, played), output, settings, mono)]
    if container.demuxer == "mov":
        outputs.append(_count_output(_input(container, hidden, ignore_editlist=1), settings))
    command = ffmpeg.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
    quiet = ("-nostdin", "-hide_banner", "-loglevel", "verbose", "-nostats", "-filter_complex_threads", "1")
    arguments: list[str] = ffmpeg.get_args(command.global_args(*quiet), overwrite_output=True)
    return arguments


def _input(container: Container, fd: int, **options: int) -> ffmpeg.nodes.FilterableStream:
    """The pinned demuxer on an open file: there is no name that a playlist could be relative to."""
    return ffmpeg.input(
        "fd:",
        fd=fd,
        f=container.demuxer,
        format_whitelist=container.demuxer,
        protocol_whitelist="fd",
        codec_whitelist=_DECODERS,
        threads=1,
        **options,
    )


def _pcm_output(
    source: ffmpeg.nodes.FilterableStream, fd: int, settings: TranscodeSettings, mono: _Filters
) -> ffmpeg.nodes.OutputStream:
    """The mix, measured before and after; cut by its size, which no time stamp can lie about."""
    stream = source["a:0"].filter("ebur128@recording", framelog="quiet")
    for name, options in mono:
        stream = stream.filter(name, **options)
    stream = stream.filter("aresample", PCM_RATE).filter("ebur128@mix", framelog="quiet")
    return ffmpeg.output(stream, "fd:", fd=fd, f="f32le", fs=_pcm_bytes(settings))


def _count_output(source: ffmpeg.nodes.FilterableStream, settings: TranscodeSettings) -> ffmpeg.nodes.OutputStream:
    """Everything in the track, also what its edit list hides; only the count in the log is wanted."""
    counted = source["a:0"].filter("asetpts", "N/SR/TB").filter("atrim", end=settings.max_duration_s + _SPARE_S)
    return ffmpeg.output(counted, "-", f="null")


def _pcm_bytes(settings: TranscodeSettings) -> int:
    return int((settings.max_duration_s + _SPARE_S) * PCM_RATE) * SAMPLE_BYTES


def _prove_room(pcm: Path, size: int) -> None:
    """A failed decode on a full disk says nothing about the file; raises OSError when the disk is full."""
    with pcm.open("r+b") as file:
        before = file.seek(0, os.SEEK_END)
        os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(before)


def _mix_lufs(log: DecodeLog, pcm: Path, settings: TranscodeSettings) -> float | None:
    """The meter starts anew when a stream changes its rate or channels midway; then the PCM is measured."""
    if log.mix_measurements == 1:
        return log.mix_lufs
    with pcm.open("rb") as file:
        source = ffmpeg.input("fd:", fd=file.fileno(), f="f32le", ar=PCM_RATE, ac=1, protocol_whitelist="fd")
        metered = source["a:0"].filter("ebur128@mix", framelog="quiet")
        command = ffmpeg.output(metered, "-", f="null").global_args("-nostdin", "-hide_banner", "-nostats")
        cell = Cell(settings.memory_bytes, settings.decode_cpu_s, settings.process_wall_s, file_bytes=0)
        finished = run_jailed(ffmpeg.get_args(command), cell, settings.jail, (file.fileno(),))
    return read_log(finished.log).mix_lufs
