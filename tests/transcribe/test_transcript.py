import pytest

from transcribe import Segment, Transcript, Word

WORD = Word(120, 480, "¿Qué", 0.91)
SPOKEN = Transcript("completed", "es", 0.98, "¿Qué tal?", (Segment(120, 900, "¿Qué tal?", (WORD,)),), "micro", -0.2)


def test_a_stored_transcript_reads_back_as_it_was() -> None:
    assert Transcript.from_json(SPOKEN.to_json()) == SPOKEN
    assert Transcript.from_json(SPOKEN.to_json().encode()) == SPOKEN


@pytest.mark.parametrize(
    "data", ["[]", "{}", '{"version": 2}', '{"version": 1}', '{"version": 1, "segments": [3]}', "x"]
)
def test_what_is_no_transcript_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"transcript|Expecting"):
        Transcript.from_json(data)
