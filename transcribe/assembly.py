"""From the windows of a recording to its transcript."""

from collections.abc import Sequence
from dataclasses import replace

from transcribe.errors import TranscribeError
from transcribe.language import is_doubtful
from transcribe.rows import Row, RowResult
from transcribe.transcript import Transcript, no_speech

Results = dict[int, list[RowResult] | TranscribeError]


def collect(results: Results, clip: int, result: RowResult | TranscribeError) -> None:
    """One failed window fails its recording: half a text would pass for the whole."""
    earlier = results.get(clip)
    if isinstance(result, TranscribeError):
        results[clip] = result
    elif earlier is None:
        results[clip] = [result]
    elif isinstance(earlier, list):
        earlier.append(result)


def take_back_doubtful(results: Results) -> list[Row]:
    """Short windows in an unsure language of their own, to be read in that of the rest of their recording."""
    rows: list[Row] = []
    for found in results.values():
        if isinstance(found, TranscribeError) or len(found) < 2:
            continue
        main = _main_language(found)
        doubtful = [r for r in found if r.language != main and is_doubtful(r.language_probability, r.end_s - r.start_s)]
        found[:] = [result for result in found if result not in doubtful]
        rows += [replace(result.row, language=main) for result in doubtful]
    return rows


def assemble(spoken: Sequence[RowResult], model: str) -> Transcript:
    """One transcript of a recording's windows in order; its language is the one spoken longest."""
    if not spoken:
        return no_speech(model)
    language = _main_language(spoken)
    probabilities = [
        r.language_probability for r in spoken if r.language == language and r.language_probability is not None
    ]
    tokens = sum(result.tokens + 1 for result in spoken)
    return Transcript(
        "completed",
        language,
        round(sum(probabilities) / len(probabilities), 4) if probabilities else None,
        " ".join(result.text for result in spoken),
        tuple(segment for result in spoken for segment in result.segments),
        model,
        round(sum(result.avg_logprob * (result.tokens + 1) for result in spoken) / tokens, 4),
    )


def _main_language(spoken: Sequence[RowResult]) -> str:
    seconds: dict[str, float] = {}
    for result in spoken:
        seconds[result.language] = seconds.get(result.language, 0.0) + result.end_s - result.start_s
    return max(seconds, key=lambda code: seconds[code])
