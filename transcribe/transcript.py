import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Word:
    """One spoken word with its punctuation; times from the start of the recording; probability 0-1."""

    start_ms: int
    end_ms: int
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """About one sentence. `words` is empty where word times were switched off."""

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """What one recording says.

    `language_probability` is the model's own probability of `language`, neither rescaled by the allow-list nor by
    a prior; None when the language was given. `avg_logprob` is the mean log-probability per token, the model's
    confidence. With `no_speech`, text and segments are empty and the language is None.
    """

    state: Literal["completed", "no_speech"]
    language: str | None
    language_probability: float | None
    text: str
    segments: tuple[Segment, ...]
    model: str
    avg_logprob: float | None = None

    def to_json(self) -> str:
        """The object kept in storage; `from_json` reads it back."""
        return json.dumps({"version": FORMAT_VERSION, **asdict(self)}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, data: str | bytes) -> "Transcript":
        """Raises ValueError when `data` is not a transcript that this version can read."""
        document = json.loads(data)
        if not isinstance(document, dict) or document.pop("version", None) != FORMAT_VERSION:
            raise ValueError(f"not a transcript of version {FORMAT_VERSION}")
        try:
            segments = tuple(_segment(item) for item in document.pop("segments"))
            return cls(segments=segments, **document)
        except (KeyError, TypeError) as error:
            raise ValueError(f"malformed transcript: {error}") from error


def no_speech(model: str) -> Transcript:
    return Transcript("no_speech", None, None, "", (), model)


def _segment(item: Mapping[str, Any]) -> Segment:
    words = tuple(Word(**word) for word in item["words"])
    return Segment(item["start_ms"], item["end_ms"], item["text"], words)
