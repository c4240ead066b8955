"""On a CPU a row reads the same alone and in any company."""

from dataclasses import replace

import numpy as np
import pytest

from tests.transcribe.recordings import joined, read, recordings, said
from transcribe.clip import SAMPLE_RATE
from transcribe.decoding import FRAMES_PER_SECOND, Policy
from transcribe.engine import FittedEngine
from transcribe.mel import log_mel
from transcribe.reader import Reader, Work
from transcribe.rows import Row, RowResult

# Every context that the bundled model or stock weights get: up to 15 s of speech with 2.5 s behind it, or all of 30 s.
SECONDS = [*range(1, 19), 30]


def rows_of(engine: FittedEngine, frames: int) -> list[Row]:
    """As many different rows as may share a group, two at least; they just fit the context."""
    speech, _ = joined(59.0)
    length = min(frames / FRAMES_PER_SECOND - 0.5, 15.0)
    rows = []
    for number in range(max(2, min(engine.device.rows, int(engine.device.seconds * FRAMES_PER_SECOND / frames)))):
        first = round((number * 2.7 + 0.3) * SAMPLE_RATE)
        part = speech[first : first + round(length * SAMPLE_RATE)]
        mel = log_mel(part, engine.reader.whisper.feature_extractor.mel_filters)[:, :-1]
        rows.append(Row(number, mel, 0.0, length, ((0.0, length),), None, {}, (), frames))
    return rows


@pytest.fixture(scope="module")
def reader(engine: FittedEngine) -> Reader:
    """Without retries: what is cut out of a sentence would be read again and again."""
    unjudged = Policy(lowest_logprob=None, highest_compression=None, no_speech=None, temperatures=(), read_on=False)
    return replace(engine.reader, policy=unjudged)


def probabilities(result: RowResult) -> list[float]:
    return [word.probability for segment in result.segments for word in segment.words]


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_row_reads_the_same_at_every_place_of_its_group(engine: FittedEngine, reader: Reader, seconds: int) -> None:
    rows = rows_of(engine, seconds * FRAMES_PER_SECOND)
    alone = {row.clip: reader.read([row])[0] for row in rows}

    assert any(result.text for result in alone.values())
    for turn in range(len(rows)):
        for result in reader.read(rows[turn:] + rows[:turn]):
            expected = alone[result.clip]
            assert result.text == expected.text
            assert result.tokens == expected.tokens
            assert result.language == expected.language
            assert result.language_probability == pytest.approx(expected.language_probability, abs=1e-3)
            assert result.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-3)
            assert probabilities(result) == pytest.approx(probabilities(expected), abs=1e-3)
            assert [s.start_ms for s in result.segments] == [s.start_ms for s in expected.segments]


def test_rows_of_several_languages_share_a_group(engine: FittedEngine, reader: Reader) -> None:
    rows = [replace(row, language=code) for row, code in zip(rows_of(engine, 500)[:3], ["en", "de", "es"], strict=True)]
    alone = [reader.read([row])[0] for row in rows]

    together = reader.read(rows)

    assert [result.text for result in together] == [result.text for result in alone]
    assert [result.language for result in together] == ["en", "de", "es"]
    assert np.allclose([r.avg_logprob for r in together], [r.avg_logprob for r in alone], atol=1e-3)


def test_rows_of_different_context_share_a_group_where_the_device_wants_few(engine: FittedEngine) -> None:
    """As on a GPU, where all of a group is encoded and aligned at once."""
    device = replace(engine.device, rows=64, seconds=960.0, together=64, hands=3, mixed=True)
    mixed = replace(engine, device=device, reader=replace(engine.reader, together=64, work=Work()))

    outcomes = mixed.transcribe([recording.clip for recording in recordings()])

    assert all(said(recording, read(outcome)) for recording, outcome in zip(recordings(), outcomes, strict=True))
    assert mixed.reader.work.encodes < len(recordings())
    mixed.close()
