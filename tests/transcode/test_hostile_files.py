"""Files made to hurt end as the right refusal, or as a correct message where their sound is fine."""

import os
import threading
from pathlib import Path
from socket import create_server

import pytest

from tests.transcode import attacks
from tests.transcode.conftest import Make
from tests.transcode.sounds import ffmpeg, voice, write_wav
from transcode import Rejected, TranscodeSettings, make_speech, sniff, transcode
from transcode.containers import MP3, MP4, OGG, Container
from transcode.jail import Cell, run_jailed

NOT_SOUND = {
    "text": b"Dear Bob, this is not a recording.\n" * 50,
    "html": b"<!doctype html><html><body><audio src=x.mp3></audio></body></html>",
    "zip": attacks.archive(),
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(500),
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500),
    "zeros": bytes(100_000),
    "one byte": b"\xff",
    "avi": attacks.avi_with_playlist(attacks.HLS % b"/etc/passwd"),
    "heic": attacks.box(b"ftyp", b"heic\0\0\0\0mif1") + bytes(500),
    "pdf": b"%PDF-1.7\n" + bytes(500),
    "program": b"\x7fELF" + os.urandom(5000),
}


def refusal(source: Path, folder: Path, settings: TranscodeSettings) -> str:
    with pytest.raises(Rejected) as refused:
        transcode(source, folder, settings)
    assert "/" not in refused.value.message
    assert sorted(path.name for path in folder.iterdir() if path != source) in ([], ["decoded.f32"])
    return refused.value.code


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", NOT_SOUND)
def test_what_is_no_recording_is_refused_by_its_first_bytes(
    kind: str, folder: Path, settings: TranscodeSettings
) -> None:
    assert sniff(NOT_SOUND[kind]) is None
    assert refusal(saved(folder, NOT_SOUND[kind]), folder, settings) == "unsupported_format"


def test_an_empty_file_has_no_sound(folder: Path, settings: TranscodeSettings) -> None:
    assert refusal(saved(folder, b""), folder, settings) == "no_audio"


@pytest.mark.parametrize("playlist", [attacks.HLS, attacks.CONCAT, attacks.DASH, attacks.SDP])
def test_a_playlist_is_refused_by_its_first_bytes(playlist: bytes, folder: Path, settings: TranscodeSettings) -> None:
    assert refusal(saved(folder, playlist % b"/etc/passwd"), folder, settings) == "unsupported_format"


@pytest.mark.parametrize("pretended", [MP4, MP3, OGG], ids=lambda container: container.name)
@pytest.mark.parametrize("playlist", [attacks.HLS, attacks.CONCAT, attacks.DASH, attacks.SDP])
def test_a_playlist_behind_the_sniffer_reaches_no_socket_and_no_file(
    playlist: bytes, pretended: Container, spoken: Path, folder: Path, settings: TranscodeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("transcode.decode.sniff", lambda head: pretended)
    with create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for target in (b"http://127.0.0.1:%d/x.wav" % port, bytes(spoken), b"%d" % port):
            assert refusal(saved(folder, playlist % target), folder, settings) in ("corrupt", "no_audio")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_headers_that_lie_change_nothing(make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    long = write_wav(tmp_path / "long.wav", voice(64, 8_000), 8_000)
    flac = bytearray(make("x.flac", source=long).read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = (5 * 8_000).to_bytes(4, "big")
    assert refusal(saved(folder, bytes(flac)), folder, settings) == "too_long"
    wav = attacks.wav(voice(1.0).clip(-1, 1).astype("<i2").tobytes(), claimed=600 * 96_000)
    assert transcode(saved(folder, wav), folder, settings).duration_ms == 1000


def test_a_fragmented_file_that_claims_a_day_plays_its_second(
    make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    fragmented = make("x.mp4", "-t", "1", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov")
    mp4 = bytearray(fragmented.read_bytes())
    at = mp4.index(b"mvhd") + 20
    mp4[at : at + 4] = (86_400_000).to_bytes(4, "big")
    assert transcode(saved(folder, bytes(mp4)), folder, settings).duration_ms == pytest.approx(1000, abs=45)


def test_an_edit_list_hides_no_sound_from_the_limit(
    make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    long = write_wav(tmp_path / "long.wav", voice(70, 48_000))
    m4a = make("x.m4a", "-c:a", "aac", "-aac_coder", "fast", source=long).read_bytes()
    for first_ms in (0, 65_000):
        hiding = saved(folder, attacks.one_edit(m4a, first_ms, 3_000))
        assert refusal(hiding, folder, settings) == "too_long"


def test_an_edit_list_decides_what_plays(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    m4a = make("x.m4a", "-c:a", "aac").read_bytes()
    media = transcode(saved(folder, attacks.one_edit(m4a, 500, 1_000)), folder, settings)
    assert media.duration_ms == pytest.approx(1000, abs=45)


@pytest.mark.parametrize("rate", [1, 221, 7_000, 400_000])
def test_impossible_sample_rates_are_refused(rate: int, folder: Path, settings: TranscodeSettings) -> None:
    code = refusal(saved(folder, attacks.wav(bytes(200_000), rate=rate)), folder, settings)
    assert code in ("unsupported_format", "decode_limit")


@pytest.mark.parametrize("channels", [0, 9, 16, 64, 60_000])
def test_too_many_channels_are_refused(channels: int, folder: Path, settings: TranscodeSettings) -> None:
    wav = attacks.wav(bytes(960_000), channels=channels)
    assert refusal(saved(folder, wav), folder, settings) in ("unsupported_format", "corrupt")


def test_ten_hours_of_silence_in_a_small_file_are_too_long(
    make: Make, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    silence = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono:d=100")
    ffmpeg(*silence, "-b:a", "8k", "-write_xing", "0", tmp_path / "silence.mp3")
    ffmpeg(*silence, "-c:a", "libopus", "-application", "voip", "-frame_duration", "60", tmp_path / "silence.ogg")
    frames, link = ((tmp_path / name).read_bytes() for name in ("silence.mp3", "silence.ogg"))
    flac = attacks.endless_flac(8_000, 10 * 3600 * 8_000 // 65_535)
    for content in (frames * (7_000_000 // len(frames)), link * 360, flac):
        assert len(content) < 7_000_000 * 3
        assert refusal(saved(folder, content), folder, settings) == "too_long"


@pytest.mark.parametrize(("times", "expected"), [(8, 1700), (3000, "unsupported_format")])
def test_links_that_go_on_changing_are_bounded(
    times: int, expected: int | str, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    low, high = (
        make("x.ogg", "-t", "0.1", "-c:a", "libvorbis", "-ar", rate).read_bytes() for rate in ("8000", "44100")
    )
    source = saved(folder, (low + high) * times)
    if isinstance(expected, int):
        assert transcode(source, folder, settings).duration_ms == pytest.approx(expected, abs=200)
    else:
        assert refusal(source, folder, settings) == expected


@pytest.mark.parametrize("rate", [1, 4_000, 400_000])
def test_a_link_of_an_impossible_rate_is_refused(
    rate: int, make: Make, folder: Path, settings: TranscodeSettings
) -> None:
    fine = make("x.ogg", "-c:a", "libvorbis").read_bytes()
    odd = attacks.vorbis_of_rate(fine, rate)
    for links in (odd, fine + odd, odd + fine):
        assert refusal(saved(folder, links), folder, settings) in ("unsupported_format", "decode_limit")


def test_a_tiny_flac_that_decodes_to_minutes_is_too_long(folder: Path, settings: TranscodeSettings) -> None:
    flac = attacks.endless_flac()
    assert len(flac) < 1_000
    assert refusal(saved(folder, flac), folder, settings) == "too_long"


def test_an_index_without_its_sound_is_corrupt(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    m4a = make("x.m4a", "-c:a", "aac").read_bytes()
    assert refusal(saved(folder, attacks.empty_mdat(m4a)), folder, settings) == "corrupt"


def test_a_protected_file_is_refused(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    m4a = make("x.m4a", "-c:a", "aac").read_bytes()
    code = refusal(saved(folder, attacks.encrypted(m4a)), folder, settings)
    assert code in ("corrupt", "unsupported_format")


def test_a_video_without_sound_has_no_audio(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=size=320x240:duration=1", "-map", "1:v")
    for name in ("x.mp4", "x.webm", "x.mov"):
        assert refusal(make(name, *picture), folder, settings) == "no_audio"


def test_a_header_without_sound_has_no_audio(folder: Path, settings: TranscodeSettings) -> None:
    assert refusal(saved(folder, attacks.wav(b"")), folder, settings) == "no_audio"


def test_a_codec_nobody_plays_is_unsupported(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    for name, codec in {"x.mka": "wavpack", "y.mka": "tta"}.items():
        assert refusal(make(name, "-c:a", codec), folder, settings) == "unsupported_format"


def test_a_refused_file_leaves_the_next_one_unharmed(spoken: Path, folder: Path, settings: TranscodeSettings) -> None:
    refusal(saved(folder, attacks.wav(bytes(200_000), rate=1)), folder, settings)
    assert transcode(spoken, folder, settings).duration_ms == 2000


def test_files_side_by_side_do_not_disturb_each_other(
    spoken: Path, tmp_path: Path, settings: TranscodeSettings
) -> None:
    durations: list[int] = []

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        durations.append(transcode(spoken, folder, settings).duration_ms)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert durations == [2000] * 4


def test_speech_alone_refuses_as_a_message_does(folder: Path, settings: TranscodeSettings) -> None:
    with pytest.raises(Rejected, match="not an audio file"):
        make_speech(saved(folder, NOT_SOUND["text"]), folder, settings)


def test_memory_is_capped(folder: Path, settings: TranscodeSettings) -> None:
    """Judged by what ffmpeg was refused: the kernel's peak of a child counts its parent's memory from before exec."""
    greedy = ["-f", "lavfi", "-i", "color=size=4000x4000:rate=1", "-vf", "trim=end_frame=12,format=rgb48,reverse"]

    def outcome(memory_bytes: int) -> tuple[bool, bool]:
        cell = Cell(memory_bytes=memory_bytes, cpu_s=20, wall_s=20, file_bytes=0, writable=folder)
        finished = run_jailed([*greedy, "-f", "null", "-"], cell, "auto")
        return finished.returncode == 0, "Cannot allocate memory" in finished.log

    assert outcome(8 * settings.memory_bytes) == (True, False)
    assert outcome(settings.memory_bytes) == (False, True)
