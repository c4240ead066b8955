"""Valid recordings, however odd, play."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.transcode import attacks
from tests.transcode.conftest import Make
from tests.transcode.sounds import Samples, as_wav, ffmpeg, voice, write_wav
from transcode import Media, TranscodeSettings, sniff, transcode

FORMATS = {
    "iphone.m4a": ("-c:a", "aac", "-ar", "44100"),
    "lossless.m4a": ("-c:a", "alac"),
    "fragmented.mp4": (
        "-c:a",
        "aac",
        "-movflags",
        "frag_keyframe+empty_moov+default_base_moof",
        "-frag_duration",
        "200000",
    ),
    "phone.3gp": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-b:a", "12.2k"),
    "phone.amr": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-b:a", "4.75k"),
    "browser.webm": ("-c:a", "libopus"),
    "vorbis.webm": ("-c:a", "libvorbis"),
    "voice.ogg": ("-c:a", "libopus", "-b:a", "16k"),
    "music.ogg": ("-c:a", "libvorbis", "-ac", "2"),
    "lossless.ogg": ("-c:a", "flac"),
    "lossless.flac": ("-c:a", "flac", "-ar", "96000", "-sample_fmt", "s32"),
    "alac.caf": ("-c:a", "alac"),
    "constant.mp3": ("-c:a", "libmp3lame", "-b:a", "64k"),
    "headless_vbr.mp3": ("-c:a", "libmp3lame", "-q:a", "5", "-write_xing", "0", "-id3v2_version", "0"),
    "low.mp3": ("-c:a", "libmp3lame", "-ar", "8000"),
    "layer2.mp2": ("-c:a", "mp2"),
    "stream.aac": ("-c:a", "aac"),
    "cinema.ac3": ("-c:a", "ac3", "-ac", "6"),
    "mac.aiff": ("-c:a", "pcm_s16be"),
    "mac.aifc": ("-c:a", "pcm_f32be", "-f", "aiff"),
    "windows.wma": ("-c:a", "wmav2"),
    "unix.au": ("-c:a", "pcm_mulaw"),
    "mulaw.wav": ("-c:a", "pcm_mulaw", "-ar", "8000"),
    "alaw.wav": ("-c:a", "pcm_alaw", "-ar", "8000"),
    "adpcm_ms.wav": ("-c:a", "adpcm_ms"),
    "adpcm_ima.wav": ("-c:a", "adpcm_ima_wav"),
    "eight_bit.wav": ("-c:a", "pcm_u8", "-ar", "11025"),
    "packed.wav": ("-c:a", "pcm_s24le"),
    "float.wav": ("-c:a", "pcm_f64le"),
    "big.wav": ("-rf64", "always"),
    "wave64.w64": ("-c:a", "pcm_s16le"),
    "narrow.wav": ("-ar", "8000"),
    "wide.wav": ("-ar", "192000"),
    "surround.wav": ("-ac", "6"),
    "eight_channels.flac": ("-ac", "8"),
    "quicktime.mov": ("-c:a", "pcm_s16le"),
    "mka.mka": ("-c:a", "flac"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_plays(name: str, make: Make, folder: Path, settings: TranscodeSettings) -> None:
    media = transcode(make(name, *FORMATS[name]), folder, settings)
    # AMR, MP2, ADPCM and the like pad to whole frames
    assert media.duration_ms == pytest.approx(2000, abs=90)
    plays(media)


def test_a_chained_ogg_plays_to_its_end(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    link = make("link.ogg", "-c:a", "libopus").read_bytes()
    other = make("other.ogg", "-c:a", "libopus", "-fflags", "+bitexact").read_bytes()
    chained = folder / "chained.ogg"
    chained.write_bytes(link + other)
    assert transcode(chained, folder, settings).duration_ms == pytest.approx(4000, abs=20)


@pytest.mark.parametrize("codec", ["libvorbis", "libopus", "flac"])
def test_an_ogg_whose_links_change_rate_and_channels_plays_to_its_end(
    codec: str, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    rates = ("16000", "48000") if codec == "libopus" else ("16000", "44100")
    low, high = (make("x.ogg", "-c:a", codec, "-ar", rate).read_bytes() for rate in rates)
    wide = make("x.ogg", "-c:a", codec, "-ar", rates[1], "-ac", "2").read_bytes()
    for links in ([low, high], [high, low], [low, wide], [wide, low, low, high]):
        media = transcode(saved(folder, b"".join(links)), folder, settings)
        assert media.duration_ms == pytest.approx(2000 * len(links), abs=10 * len(links))
        plays(media)
        levels = [as_wav(media.renditions[0].path)[2000 * at : 2000 * at + 2000].dBFS for at in range(len(links))]
        assert max(levels) - min(levels) < 4


def test_an_ogg_whose_links_change_codec_plays_to_its_end(
    make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    links = [make("x.ogg", "-c:a", codec).read_bytes() for codec in ("libopus", "libvorbis", "flac", "libopus")]
    assert transcode(saved(folder, b"".join(links)), folder, settings).duration_ms == pytest.approx(8000, abs=40)


def test_a_link_that_is_damaged_where_it_begins_does_not_cost_the_ones_before_it(
    make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    first, second = (make("x.ogg", "-c:a", codec).read_bytes() for codec in ("libopus", "libvorbis"))
    for damaged in (second[:40], second[:28] + bytes(300)):
        assert transcode(saved(folder, first + damaged), folder, settings).duration_ms == 2000


def test_a_webm_and_a_flac_without_duration_play(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    live = make("live.webm", "-c:a", "libopus", "-f", "webm", "-live", "1")
    assert transcode(live, folder, settings).duration_ms == pytest.approx(2000, abs=20)
    flac = bytearray(make("x.flac", "-c:a", "flac").read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert transcode(saved(folder, flac), folder, settings).duration_ms == 2000


def test_a_streamed_wav_with_unset_sizes_plays(spoken: Path, folder: Path, settings: TranscodeSettings) -> None:
    for unset in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        wav = bytearray(spoken.read_bytes())
        wav[4:8] = wav[40:44] = unset
        assert transcode(saved(folder, wav), folder, settings).duration_ms == pytest.approx(2000, abs=1)


def test_the_first_of_two_tracks_is_taken(
    make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    longer = write_wav(tmp_path / "longer.wav", voice(3.0))
    both = make("both.m4a", "-i", str(longer), "-map", "0:a", "-map", "1:a", "-c:a", "aac")
    assert transcode(both, folder, settings).duration_ms == pytest.approx(2000, abs=30)


def test_a_video_plays_its_sound(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=size=320x240:duration=2:rate=5")
    for name, codecs in {"x.mp4": ("libx264", "aac"), "x.webm": ("libvpx", "libopus")}.items():
        video = make(name, *picture, "-map", "1:v", "-map", "0:a", "-c:v", codecs[0], "-c:a", codecs[1])
        assert transcode(video, folder, settings).duration_ms == pytest.approx(2000, abs=30)


@pytest.mark.parametrize("tag_bytes", [300, 70_000, 3_000_000])
@pytest.mark.parametrize("name", ["x.mp3", "x.aac", "x.flac"])
def test_a_tag_of_any_size_is_passed_over(
    name: str, tag_bytes: int, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    size = bytes((tag_bytes >> shift) & 0x7F for shift in (21, 14, 7, 0))
    tagged = saved(folder, b"ID3\x03\0\0" + size + bytes(tag_bytes) + make(name, "-id3v2_version", "0").read_bytes())
    assert sniff(tagged.read_bytes()[: 64 * 1024]) is not None
    assert transcode(tagged, folder, settings).duration_ms == pytest.approx(2000, abs=80)


def test_a_novel_in_the_tags_is_passed_over(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    words = b"TXXX" + struct.pack(">I", 1_900_001) + b"\0\0\0novel\0" + b"[graph_0_in_0:0 @ 0x1] lies\n" * 67_856
    size = bytes((len(words) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    mp3 = make("x.mp3", "-id3v2_version", "0").read_bytes()
    media = transcode(saved(folder, b"ID3\x03\0\0" + size + words + mp3), folder, settings)
    assert media.duration_ms == pytest.approx(2000, abs=80)


def test_a_picture_in_front_of_the_sound_does_not_matter(
    make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    cover = tmp_path / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=8000x8000:duration=1", "-frames:v", "1", cover)
    attached = ("-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic")
    for name in ("x.m4a", "x.mp3"):
        assert transcode(make(name, *attached), folder, settings).duration_ms == pytest.approx(2000, abs=80)


def test_a_little_garbage_before_an_mp3_does_not_matter(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    mp3 = make("x.mp3", "-c:a", "libmp3lame", "-id3v2_version", "0").read_bytes()
    assert transcode(saved(folder, bytes(700) + mp3), folder, settings).duration_ms == pytest.approx(2000, abs=80)


def test_both_channels_are_kept(tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    left, right = np.zeros(96_000), np.zeros(96_000)
    left[:48_000], right[48_000:] = voice(1.0), voice(1.0)
    media = transcode(stereo(tmp_path, left, right), folder, settings)
    heard = as_wav(media.renditions[0].path)
    assert heard[:1000].dBFS == pytest.approx(heard[1000:].dBFS, abs=2)


def test_channels_of_opposite_polarity_do_not_cancel_out(
    tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    media = transcode(stereo(tmp_path, voice(2.0), -voice(2.0)), folder, settings)
    assert max(media.waveform) > 20
    assert as_wav(media.renditions[0].path).dBFS > -30


def test_a_stream_that_changes_its_rate_midway_plays(tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    parts = []
    for rate in (16_000, 44_100):
        ffmpeg("-i", write_wav(tmp_path / "x.wav", voice(2.0, rate), rate), "-c:a", "aac", tmp_path / "x.aac")
        parts.append((tmp_path / "x.aac").read_bytes())
    media = transcode(saved(folder, b"".join(parts)), folder, settings)
    assert media.duration_ms == pytest.approx(4000, abs=200)
    plays(media)


def test_wideband_amr_plays(folder: Path, settings: TranscodeSettings) -> None:
    for mode, payload_bytes in attacks.AMR_WB_MODES.items():
        media = transcode(saved(folder, attacks.amr_wb(mode, payload_bytes, frames=100)), folder, settings)
        assert media.duration_ms == 2000
        plays(media)


def test_opus_in_caf_plays(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    caf = attacks.caf_opus(make("x.ogg", "-c:a", "libopus", "-frame_duration", "20").read_bytes())
    media = transcode(saved(folder, caf), folder, settings)
    assert media.duration_ms == pytest.approx(2000, abs=30)
    plays(media)


def test_a_qcp_is_known_by_its_form() -> None:
    assert sniff(b"RIFF" + struct.pack("<I", 100) + b"QLCMfmt ").name == "qcp"  # type: ignore[union-attr]


def plays(media: Media) -> None:
    for rendition in media.renditions:
        assert abs(len(as_wav(rendition.path)) - media.duration_ms) <= 50
    assert media.loudness_lufs is not None
    assert max(media.waveform) > 0


def stereo(folder: Path, left: Samples, right: Samples) -> Path:
    return write_wav(folder / "stereo.wav", np.stack([left, right], axis=1).ravel(), channels=2)


def saved(folder: Path, content: bytes | bytearray) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    return path
