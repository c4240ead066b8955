"""The arguments of every ffmpeg that reads a file from outside."""

from collections.abc import Sequence

import ffmpeg

from transcode.containers import Container
from transcode.settings import TranscodeSettings

PCM_RATE = 48_000
SAMPLE_BYTES = 4
# A second more than the limit is enough to know that it was passed.
_SPARE_S = 1

_DECODERS = (
    "aac,aac_latm,ac3,eac3,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,evrc,flac,"
    "g722,g726,g726le,gsm,gsm_ms,ilbc,mp1float,mp1,mp2float,mp2,mp3float,mp3,opus,"
    "libopus,vorbis,libvorbis,speex,qcelp,wmav1,wmav2,wmapro,wmavoice,wmalossless,"
    "adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_yamaha,mace3,mace6,pcm_alaw,pcm_mulaw,pcm_u8,"
    "pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,"
    "pcm_f64le,pcm_f64be,pcm_s8_planar,pcm_s16le_planar,pcm_u16le,pcm_u16be"
)
# What a file says about itself would only fill the log.
_UNTOLD = {"map_metadata": -1, "map_chapters": -1}
_GLOBAL = ("-nostdin", "-hide_banner", "-loglevel", "verbose", "-nostats", "-filter_complex_threads", "1")

Filters = tuple[tuple[str, dict[str, str]], ...]
# Without the bound the sum of two channels would be 3 dB louder than either.
MIX: Filters = (("aresample", {"rematrix_maxval": "1.0"}), ("aformat", {"channel_layouts": "mono"}))
FIRST_CHANNEL: Filters = (("pan", {"args": "mono|c0=c0"}),)


def pcm_bytes(settings: TranscodeSettings) -> int:
    """The most that a decode writes."""
    return int((settings.max_duration_s + _SPARE_S) * PCM_RATE) * SAMPLE_BYTES


def has_edit_list(container: Container) -> bool:
    return container.demuxer == "mov"


def decode(
    container: Container,
    sources: Sequence[int],
    unedited: int,
    output: int,
    mono: Filters,
    settings: TranscodeSettings,
) -> list[str]:
    """Open files `sources` in a row to PCM in open file `output`, metered before it is made mono.

    Where there may be an edit list, the packets of the whole track are counted on the way, from the same
    file opened a second time as `unedited`.
    """
    stream = _in_a_row([_audio(container, source) for source in sources])
    stream = stream.filter("ebur128@recording", framelog="quiet")
    for name, options in mono:
        stream = stream.filter(name, **options)
    stream = stream.filter("aresample", PCM_RATE)
    # Cut by its size, which no time stamp can lie about.
    pcm = ffmpeg.output(stream, "fd:", fd=output, f="f32le", fs=pcm_bytes(settings), **_UNTOLD)
    if not has_edit_list(container):
        return _compiled(pcm)
    packets = ffmpeg.output(_audio(container, unedited, ignore_editlist=1), "-", c="copy", f="null", **_UNTOLD)
    return _compiled(ffmpeg.merge_outputs(pcm, packets))


def count_samples(container: Container, source: int, settings: TranscodeSettings) -> list[str]:
    """Decode everything in the track, also what its edit list hides; only the count in the log is wanted."""
    audio = _audio(container, source, ignore_editlist=1)
    bounded = audio.filter("asetpts", "N/SR/TB").filter("atrim", end=settings.max_duration_s + _SPARE_S)
    return _compiled(ffmpeg.output(bounded, "-", f="null", **_UNTOLD))


def meter(pcm: int) -> list[str]:
    """Measure the loudness of PCM that was decoded before."""
    source = ffmpeg.input("fd:", fd=pcm, f="f32le", ar=PCM_RATE, ac=1, protocol_whitelist="fd")
    return _compiled(ffmpeg.output(source["a:0"].filter("ebur128@mix", framelog="quiet"), "-", f="null"))


def _audio(container: Container, fd: int, **options: int) -> ffmpeg.nodes.FilterableStream:
    """The first audio track by the pinned demuxer; an open file has no name that a playlist could refer to."""
    source = ffmpeg.input(
        "fd:",
        fd=fd,
        f=container.demuxer,
        format_whitelist=container.demuxer,
        protocol_whitelist="fd",
        codec_whitelist=_DECODERS,
        threads=1,
        **options,
    )
    return source["a:0"]


def _in_a_row(streams: list[ffmpeg.nodes.FilterableStream]) -> ffmpeg.nodes.FilterableStream:
    return streams[0] if len(streams) == 1 else ffmpeg.concat(*streams, v=0, a=1)


def _compiled(output: ffmpeg.nodes.OutputStream) -> list[str]:
    arguments: list[str] = ffmpeg.get_args(output.global_args(*_GLOBAL), overwrite_output=True)
    return arguments
