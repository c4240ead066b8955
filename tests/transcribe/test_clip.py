from pathlib import Path

import av
import numpy as np
import pytest

from transcribe import TranscribeError, load_clip
from transcribe.clip import Samples


def write(path: Path, samples: Samples, rate: int = 16_000, container: str = "flac") -> Path:
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return path


TONE = (0.5 * np.sin(np.arange(24_000) / 9)).astype(np.float32)


def test_a_speech_flac_becomes_its_samples(tmp_path: Path) -> None:
    clip = load_clip(write(tmp_path / "speech.flac", TONE), language="de", prompt="Anna", prior={"de": 1.0})
    assert clip.samples.dtype == np.float32
    assert np.allclose(clip.samples, TONE, atol=1e-4)
    assert clip.duration_s == 1.5
    assert (clip.language, clip.prompt, clip.prior) == ("de", "Anna", {"de": 1.0})


def test_another_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranscribeError, match="48000 Hz") as raised:
        load_clip(write(tmp_path / "speech.flac", TONE, 48_000))
    assert raised.value.code == "bad_audio"


def test_more_than_a_minute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranscribeError, match="longer than 61 s") as raised:
        load_clip(write(tmp_path / "speech.flac", np.zeros(62 * 16_000, np.float32)))
    assert raised.value.code == "too_long"


@pytest.mark.parametrize("data", [b"", b"fLaC", b"RIFF....WAVE", b"#EXTM3U\n/etc/passwd\n"])
def test_what_is_no_flac_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "speech.flac"
    path.write_bytes(data)
    with pytest.raises(TranscribeError) as raised:
        load_clip(path)
    assert raised.value.code == "bad_audio"


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(TranscribeError) as raised:
        load_clip(tmp_path / "gone.flac")
    assert raised.value.code == "bad_audio"
