import itertools

import numpy as np
import pytest

from tests.transcribe.recordings import recordings
from tools.micro.heldout import quiet_clips
from transcribe import Clip, Transcript
from transcribe.clip import SAMPLE_RATE, Samples
from transcribe.engine import FittedEngine
from transcribe.gate import Span, speech_windows

RANDOM = np.random.default_rng(3)
SECONDS = 6
TIME = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def noise(level: float) -> Samples:
    return RANDOM.normal(0, level, len(TIME)).astype(np.float32)


VOICELESS = {
    "digital silence": np.zeros(len(TIME), np.float32),
    "one sample": np.zeros(1, np.float32),
    "the hiss of a microphone": noise(0.0005),
    "loud noise": noise(0.2),
    "a constant": np.full(len(TIME), 0.5, np.float32),
    "a tone": (0.3 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32),
    "mains hum": (0.2 * np.sign(np.sin(2 * np.pi * 50 * TIME))).astype(np.float32),
    "breath": (noise(0.05) * np.sin(np.pi * TIME / 2) ** 2).astype(np.float32),
    "a click": np.eye(1, len(TIME), 9000, dtype=np.float32)[0],
}


@pytest.mark.parametrize("samples", VOICELESS.values(), ids=VOICELESS.keys())
def test_where_nobody_speaks_no_word_is_written(engine: FittedEngine, samples: Samples) -> None:
    (outcome,) = engine.transcribe([Clip(samples)])

    assert outcome == Transcript("no_speech", None, None, "", (), "micro")


def test_nor_in_noises_that_sound_like_the_start_of_a_word(engine: FittedEngine) -> None:
    clips = quiet_clips()
    assert any(speech_windows(samples, 8.0) for samples in clips)
    outcomes = engine.transcribe([Clip(samples) for samples in clips])
    assert all(isinstance(outcome, Transcript) and outcome.state == "no_speech" for outcome in outcomes)


def test_silence_costs_the_model_nothing(engine: FittedEngine) -> None:
    before = engine.reader.work.encodes
    engine.transcribe([Clip(samples) for samples in VOICELESS.values()])
    assert engine.reader.work.encodes == before


def test_a_whisper_quiet_recording_is_still_speech() -> None:
    quiet = recordings()[0].samples * np.float32(0.02)
    assert speech_windows(quiet, 15.0)


def test_windows_hold_all_speech_and_none_is_too_long() -> None:
    speech = np.concatenate([recording.samples for recording in recordings()])[: 59 * SAMPLE_RATE]
    for longest_s in (4.0, 8.0, 15.0, 28.0):
        windows = speech_windows(speech, longest_s)
        assert all(window.length <= longest_s * SAMPLE_RATE for window in windows)
        assert all(before.end <= after.start for before, after in itertools.pairwise(windows))
        voiced = speech_windows(speech, 60.0)
        assert sum(w.length for w in windows) >= 0.9 * sum(span.length for w in voiced for span in w.voiced)


def test_without_a_pause_the_cut_is_at_the_quietest_moment() -> None:
    recording = max(recordings(), key=lambda recording: len(recording.samples))
    dense = np.concatenate(
        [span_of(recording.samples, span) for span in speech_windows(recording.samples, 60)[0].voiced]
    )
    windows = speech_windows(np.tile(dense, 3), 5.0)
    assert len(windows) > 2
    assert all(window.length <= 5 * SAMPLE_RATE for window in windows)


def span_of(samples: Samples, span: Span) -> Samples:
    return samples[span.start : span.end]
