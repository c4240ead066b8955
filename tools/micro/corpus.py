"""The training sentences in memory: spectra on disk, tokens with their times, and who else speaks in the group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.micro.data import Sentence, training_sentences
from tools.micro.features import frame_count
from tools.micro.sentences import spelled_alike
from tools.micro.vocabulary import Rows, characters, pieces, whisper_tokenizer


@dataclass(frozen=True)
class Line:
    """A sentence ready for training: spans are seconds from its beginning, one for each token."""

    language: str
    text: str
    spectra: np.ndarray
    tokens: list[int]
    spans: list[tuple[float, float]]
    characters: list[int]
    spellings: dict[tuple[str, ...], str]

    @property
    def frames(self) -> int:
        return len(self.spectra)


@dataclass(frozen=True)
class Corpus:
    """All lines by group of one speaker, and the table rows that their tokens need."""

    groups: dict[int, list[Line]]
    languages: dict[str, list[int]]
    rows: Rows


def load_corpus(data: Path, features: Path) -> Corpus:
    """Reads every shard whose features are made."""
    groups: dict[int, list[Line]] = defaultdict(list)
    languages: dict[str, dict[int, None]] = defaultdict(dict)
    tokens: set[int] = set()
    for sentence, spectra in _sentences(data, features):
        line = _line(sentence, spectra)
        groups[sentence.group].append(line)
        languages[sentence.language][sentence.group] = None
        tokens.update(line.tokens)
    tokens.update(whisper_tokenizer().encoding.encode(",."))
    return Corpus(dict(groups), {name: list(found) for name, found in languages.items()}, Rows(tokens))


def _sentences(data: Path, features: Path) -> Iterator[tuple[Sentence, np.ndarray]]:
    path, stored, offset = None, np.zeros(0), 0
    for samples, sentence in training_sentences(data):
        if samples != path:
            path, offset = samples, 0
            target = features / samples.name
            stored = np.load(target, mmap_mode="r") if target.exists() else np.zeros(0)
        if not len(stored):
            continue
        frames = frame_count(sentence.samples)
        yield sentence, stored[offset : offset + frames]
        offset += frames


def _line(sentence: Sentence, spectra: np.ndarray) -> Line:
    found = pieces(whisper_tokenizer(), sentence.text)
    ends = [*sentence.word_starts[1:], sentence.samples / 16_000]
    words = list(zip(sentence.word_starts, ends, strict=True))
    words.append((ends[-1], ends[-1]))

    def seconds(position: float) -> float:
        begin, end = words[int(position)]
        return begin + (position - int(position)) * (end - begin)

    alike = spelled_alike(sentence.language)
    names = [name for name in (word.strip(",.?!¿¡") for word in sentence.text.split()) if name in alike]
    return Line(
        sentence.language,
        sentence.text,
        spectra,
        [piece.token for piece in found],
        [(seconds(piece.begin), seconds(piece.end)) for piece in found],
        characters(sentence.text),
        {alike[name]: name for name in names},
    )
