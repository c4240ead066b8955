import shutil
from pathlib import Path

import pytest

from tests.transcribe.recordings import SAMPLES, recordings
from transcribe import ModelError, check_model
from transcribe.check import word_error_rate


def test_contexts_are_measured_on_the_operators_own_recordings(tmp_path: Path) -> None:
    for recording in recordings()[:3]:
        shutil.copy(SAMPLES / recording.name, tmp_path)
        (tmp_path / recording.name).with_suffix(".txt").write_text(recording.text)
    (tmp_path / "broken.mp3").write_bytes(b"not sound")

    found = check_model("micro", tmp_path)

    assert found.recordings == 3
    assert [reason.split(":")[0] for reason in found.skipped] == ["broken.mp3"]
    assert [context.name for context in found.contexts] == ["fitted", "floor", "full"]
    assert all(context.wer is not None and context.wer < 0.1 for context in found.contexts)
    assert found.advice.settings.startswith("EARSHOT_SPEECH_CONTEXT=")
    assert f"choose: {found.advice.settings}" in str(found)


def test_without_texts_contexts_are_compared_with_the_full_one(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / recordings()[0].name, tmp_path)
    found = check_model("micro", tmp_path)
    assert all(context.wer is None for context in found.contexts)
    assert found.contexts[-1].differs_from_full == 0


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ModelError) as raised:
            check_model("micro", folder)
        assert raised.value.code == "no_recordings"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "rate"),
    [
        ("See you at ten.", "see you, at TEN", 0.0),
        ("see you at ten", "see you at nine", 0.25),
        ("see you at ten", "", 1.0),
        ("see you", "I will see you", 1.0),
        ("", "", 0.0),
    ],
)
def test_word_error_rate(reference: str, hypothesis: str, rate: float) -> None:
    assert word_error_rate([reference], [hypothesis]) == rate
