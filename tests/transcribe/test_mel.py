import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from tests.transcribe.recordings import recordings
from transcribe.mel import log_mel


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("length", [1, 159, 160, 4800, 16_001, 50_000])
def test_features_are_those_of_faster_whisper(bands: int, length: int) -> None:
    extractor = FeatureExtractor(feature_size=bands)
    samples = recordings()[0].samples[8000 : 8000 + length]
    ours, theirs = log_mel(samples, extractor.mel_filters), extractor(samples)
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.allclose(ours, theirs, atol=1e-5)
