"""Samples that are no numbers, or far beyond full scale, end as sound or as a refusal."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.transcode import attacks
from tests.transcode.sounds import Samples, as_wav, voice
from transcode import Rejected, TranscodeSettings, make_speech, transcode
from transcode.mending import mend

ODD = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "1e10": 1e10,
    "1e20": 1e20,
    "3e38": 3e38,
    "-3e38": -3e38,
}


def saved(folder: Path, samples: Samples, kind: str = "<f4", channels: int = 1) -> Path:
    source = folder.parent / "source.wav"
    data = samples.astype(kind).tobytes()
    source.write_bytes(attacks.wav(data, channels=channels, bits=np.dtype(kind).itemsize * 8, coding=3))
    return source


@pytest.mark.parametrize("many", [1, 20_000])
@pytest.mark.parametrize("odd", ODD)
def test_a_voice_with_odd_samples_plays(odd: str, many: int, folder: Path, settings: TranscodeSettings) -> None:
    samples = voice(2.0)
    samples[50_000 : 50_000 + many] = ODD[odd]
    media = transcode(saved(folder, samples), folder, settings)
    assert media.duration_ms == 2000
    assert media.loudness_lufs is not None
    assert -40 < media.loudness_lufs < 20
    for path in (*(rendition.path for rendition in media.renditions), media.speech):
        heard = as_wav(path)
        assert len(heard) == pytest.approx(2000, abs=50)
        assert heard[:900].dBFS > -50
    assert as_wav(media.renditions[0].path)[:900].dBFS < -6


@pytest.mark.parametrize("odd", [1e300, -1e300, np.nan])
def test_doubles_that_no_float_holds_play(odd: float, folder: Path, settings: TranscodeSettings) -> None:
    samples = voice(2.0)
    samples[50_000] = odd
    media = transcode(saved(folder, samples, "<f8"), folder, settings)
    assert media.duration_ms == 2000
    assert max(media.waveform) < 255


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e300])
def test_one_odd_channel_leaves_a_loudness(odd: float, folder: Path, settings: TranscodeSettings) -> None:
    both = np.stack([voice(2.0), voice(2.0)], axis=1)
    both[50_000] = (odd, -odd)
    media = transcode(saved(folder, both.ravel(), "<f8", channels=2), folder, settings)
    assert media.loudness_lufs is not None
    assert -40 < media.loudness_lufs < 0


@pytest.mark.parametrize("level", [1e25, 3e37])
def test_a_recording_that_is_much_too_loud_plays(level: float, folder: Path, settings: TranscodeSettings) -> None:
    media = transcode(saved(folder, voice(2.0) * level), folder, settings)
    assert media.duration_ms == 2000
    assert media.loudness_lufs is not None
    assert media.loudness_lufs < 20


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_recording_without_any_number_is_corrupt(odd: float, folder: Path, settings: TranscodeSettings) -> None:
    for make in (transcode, make_speech):
        with pytest.raises(Rejected) as refused:
            make(saved(folder, np.full(96_000, odd)), folder, settings)
        assert refused.value.code == "corrupt"


def test_only_what_needs_it_is_written(tmp_path: Path) -> None:
    pcm = tmp_path / "pcm"
    samples = np.random.default_rng(1).uniform(-8, 8, 300_000).astype("<f4")
    pcm.write_bytes(samples.tobytes())
    os.utime(pcm, (1, 1))
    assert not mend(pcm)
    assert pcm.stat().st_mtime == 1
    for place, (odd, mended) in {0: (np.nan, 0), 65_535: (9, 8), 65_536: (np.inf, 0), 299_999: (-1e9, -8)}.items():
        samples[place] = odd
        pcm.write_bytes(samples.tobytes())
        assert mend(pcm)
        samples[place] = mended
        assert pcm.read_bytes() == samples.tobytes()
