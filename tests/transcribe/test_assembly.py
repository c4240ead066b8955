import numpy as np

from transcribe import TranscribeError
from transcribe.assembly import Results, assemble, collect, take_back_doubtful
from transcribe.rows import Row, RowResult
from transcribe.transcript import Segment


def result(start_s: float, end_s: float, language: str, probability: float | None, text: str = "Ja.") -> RowResult:
    row = Row(0, np.zeros((80, 10), np.float32), start_s, end_s, ((start_s, end_s),), None, {}, (), 500)
    segment = Segment(round(start_s * 1000), round(end_s * 1000), text)
    return RowResult(row, language, probability, text, (segment,), -0.2, 3, end_s)


def test_a_recording_is_in_the_language_spoken_longest() -> None:
    transcript = assemble([result(0, 9, "en", 0.9, "Hello."), result(9, 14, "de", 0.99, "Guten Tag.")], "base")
    assert (transcript.language, transcript.language_probability) == ("en", 0.9)
    assert transcript.text == "Hello. Guten Tag."
    assert [segment.start_ms for segment in transcript.segments] == [0, 9000]


def test_a_short_window_in_an_unsure_language_is_read_in_that_of_the_rest() -> None:
    results: Results = {0: [result(0, 9, "en", 0.9), result(13, 14.5, "cy", 0.4)]}
    rows = take_back_doubtful(results)
    assert [(row.start_s, row.language) for row in rows] == [(13, "en")]
    assert take_back_doubtful(results) == []


def test_a_sure_or_long_change_of_language_stands() -> None:
    for second in (result(13, 14.5, "de", 0.95), result(13, 22, "de", 0.6), result(13, 14.5, "de", None)):
        assert take_back_doubtful({0: [result(0, 12, "en", 0.9), second]}) == []


def test_one_failed_window_fails_its_recording() -> None:
    failure = TranscribeError("engine_failed", "why")
    for order in ([failure, result(0, 1, "en", 0.9)], [result(0, 1, "en", 0.9), failure]):
        results: Results = {}
        for found in order:
            collect(results, 0, found)
        assert results == {0: failure}


def test_nothing_said_is_no_speech() -> None:
    assert assemble([], "base").state == "no_speech"
