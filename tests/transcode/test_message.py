"""What comes out: renditions, levels, waveform and speech."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.transcode.conftest import Make
from tests.transcode.sounds import as_wav, ffmpeg, read_wav, tone, voice, write_wav
from transcode import Media, TranscodeSettings, make_speech, transcode
from transcode.decode import decode
from transcode.jail import run_jailed


@pytest.fixture(scope="module")
def message(tmp_path_factory: pytest.TempPathFactory, settings: TranscodeSettings) -> Media:
    folder = tmp_path_factory.mktemp("message")
    quiet = write_wav(folder / "quiet.wav", voice(8.0) * 0.5)
    return transcode(quiet, folder, settings)


def loudness(path: Path) -> tuple[float, float]:
    """LUFS and dBTP, by bare ffmpeg."""
    log = ffmpeg("-i", path, "-af", "ebur128=framelog=quiet:peak=true", "-f", "null", "-")
    integrated, peak = re.findall(r"I:\s+(\S+) LUFS", log)[-1], re.findall(r"Peak:\s+(\S+) dBFS", log)[-1]
    return float(integrated), float(peak)


def test_the_m4a_comes_first_and_names_what_it_is(message: Media) -> None:
    kinds = [(r.format, r.mime_type, r.extension) for r in message.renditions]
    assert kinds == [("m4a", "audio/mp4", "m4a"), ("opus", "audio/ogg", "ogg")]
    for rendition in message.renditions:
        content = rendition.path.read_bytes()
        assert (rendition.size, rendition.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_m4a_starts_playing_before_it_is_whole(message: Media) -> None:
    content = message.renditions[0].path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_codecs_are_the_promised_ones(message: Media) -> None:
    logs = [ffmpeg("-i", rendition.path, "-f", "null", "-") for rendition in message.renditions]
    assert re.search(r"Audio: aac \(LC\).* 48000 Hz, mono", logs[0])
    assert re.search(r"Audio: opus.* 48000 Hz, mono", logs[1])
    assert re.search(r"Audio: flac, 16000 Hz, mono, s16", ffmpeg("-i", message.speech, "-f", "null", "-"))


def test_every_file_lasts_as_long_as_the_message(message: Media) -> None:
    assert message.duration_ms == 8000
    for path in (*(rendition.path for rendition in message.renditions), message.speech):
        assert len(as_wav(path)) == pytest.approx(8000, abs=50)


def test_a_quiet_voice_is_brought_to_the_target(message: Media) -> None:
    assert message.loudness_lufs is not None
    assert message.loudness_lufs < -22
    for rendition in message.renditions:
        lufs, true_peak = loudness(rendition.path)
        assert lufs == pytest.approx(-16, abs=1)
        assert true_peak <= -1.2


@pytest.mark.parametrize("level", [0.05, 1.0, 8.0])
def test_peaks_stay_below_the_ceiling_at_every_level(
    level: float, tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    media = transcode(write_wav(tmp_path / "x.wav", voice(4.0) * level), folder, settings)
    for rendition in media.renditions:
        assert loudness(rendition.path)[1] <= -1.2


def test_the_gain_is_bounded(tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    whisper = tone(tmp_path / "whisper.wav", 2, level_dbfs=-60)
    media = transcode(whisper, folder, settings)
    assert media.loudness_lufs == pytest.approx(-63, abs=1)
    assert as_wav(media.renditions[0].path).dBFS == pytest.approx(-43, abs=1)


def test_silence_has_no_loudness_and_stays_silent(tmp_path: Path, folder: Path, settings: TranscodeSettings) -> None:
    media = transcode(write_wav(tmp_path / "x.wav", np.zeros(48_000)), folder, settings)
    assert media.loudness_lufs is None
    assert media.waveform == bytes(100)
    assert media.peaks == bytes(4000)
    assert as_wav(media.renditions[0].path).max == 0


def test_the_loudness_of_a_stereo_recording_is_its_own(
    tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    both = write_wav(tmp_path / "x.wav", np.repeat(voice(4.0), 2), channels=2)
    media = transcode(both, folder, settings)
    assert media.loudness_lufs == pytest.approx(loudness(both)[0], abs=0.1)
    assert loudness(media.renditions[0].path)[0] == pytest.approx(-16, abs=1)


@pytest.mark.parametrize(
    ("channels", "runs"), [(1, 1), (2, 2)], ids=["one meter hears it all", "the mix is measured by itself"]
)
def test_the_mix_has_the_loudness_of_its_samples(
    make: Make,
    folder: Path,
    settings: TranscodeSettings,
    monkeypatch: pytest.MonkeyPatch,
    channels: int,
    runs: int,
) -> None:
    commands: list[Sequence[str]] = []
    monkeypatch.setattr("transcode.decode.run_jailed", lambda *told: commands.append(told[0]) or run_jailed(*told))
    recording = make("x.m4a", "-ac", f"{channels}", "-ar", "44100", "-c:a", "aac")
    sound = decode(recording, folder, settings)
    measured = ffmpeg("-f", "f32le", "-ar", "48000", "-ac", "1", "-i", sound.pcm, "-af", "ebur128", "-f", "null", "-")
    assert sound.mix_lufs == pytest.approx(float(re.findall(r"I:\s+(\S+) LUFS", measured)[-1]), abs=0.1)
    assert len(commands) == runs


def test_the_waveform_shows_the_recording_before_gain(
    tmp_path: Path, folder: Path, settings: TranscodeSettings
) -> None:
    half = np.concatenate([np.full(48_000, 0.1), np.full(48_000, -0.5)])
    media = transcode(write_wav(tmp_path / "x.wav", half), folder, settings)
    bars = np.frombuffer(media.waveform, np.uint8)
    assert bars[10] == pytest.approx(0.1 * 255, abs=1)
    assert bars[90] == pytest.approx(0.5 * 255, abs=1)
    pairs = np.frombuffer(media.peaks, "<i2").reshape(-1, 2)
    assert pairs.shape == (1000, 2)
    assert pairs[900] == pytest.approx([-16384, -16384], abs=5)


def test_speech_is_not_made_louder(message: Media, tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", voice(8.0) * 0.5)
    assert as_wav(message.speech).dBFS == pytest.approx(read_wav(quiet).dBFS, abs=0.5)


def test_speech_made_again_is_the_same(make: Make, folder: Path, tmp_path: Path, settings: TranscodeSettings) -> None:
    source = make("x.ogg", "-c:a", "libopus")
    first = transcode(source, tmp_path, settings).speech.read_bytes()
    assert make_speech(source, folder, settings).read_bytes() == first
    assert [path.name for path in folder.iterdir()] == ["speech.flac"]


def test_the_same_recording_makes_the_same_bytes(spoken: Path, tmp_path: Path, settings: TranscodeSettings) -> None:
    digests = []
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        digests.append([r.sha256 for r in transcode(spoken, tmp_path / number, settings).renditions])
    assert digests[0] == digests[1]


def test_nothing_is_told_about_the_sender(make: Make, folder: Path, settings: TranscodeSettings) -> None:
    secret = "51.5007,-0.1246"
    media = transcode(make("x.m4a", "-metadata", f"title={secret}", "-metadata", f"comment={secret}"), folder, settings)
    for path in (*(rendition.path for rendition in media.renditions), media.speech):
        assert secret.encode() not in path.read_bytes()
