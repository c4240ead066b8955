"""Where in a message a search's words are: a snippet with marks, and the moment in the recording."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from storage.languages import fold, fold_letter
from storage.search import Hit, Term
from storage.word_times import start_of
from transcribe import Segment, Transcript, Word, corrected

# Private-use characters: nobody types them, and those in what people wrote are replaced.
BEGIN, END = "\ue000", "\ue001"
_BEFORE, _LONGEST = 60, 200
# Some ten times as many as in a page of hits that people wrote; each is stemmed for each term.
_MOST_WORDS = 2_000
_WORD = re.compile(r"\w+")
_UNMARKED = str.maketrans({BEGIN: "\ufffd", END: "\ufffd"})


@dataclass(frozen=True)
class Excerpt:
    snippet: str
    start_ms: int | None


def words_in(hits: Sequence[Hit], terms: Sequence[Term]) -> list[tuple[str, str]]:
    """(configuration, word) of the words that may be forms of a term: those that begin alike."""
    beginnings = tuple({term.folded[:2] for term in terms})
    found = {(hit.config, word) for hit in hits for word in _WORD.findall(hit.body)}
    return sorted(each for each in found if fold(each[1]).startswith(beginnings))[:_MOST_WORDS]


def excerpt(hit: Hit, terms: Sequence[Term], forms: set[tuple[str, str]]) -> Excerpt:
    marks = _marks(hit, terms, forms)
    first = _best(marks)
    return Excerpt(_snippet(hit.body, marks, first), _moment(hit, first))


def _marks(hit: Hit, terms: Sequence[Term], forms: set[tuple[str, str]]) -> list[tuple[int, int]]:
    """(begin, end) of what matches, in order and apart from each other."""
    folded, origin = _folded(hit.body)
    found = [(match.start(), match.end()) for match in _WORD.finditer(hit.body) if (hit.config, match[0]) in forms]
    for term in terms:
        for match in _pattern(term).finditer(folded):
            found.append((origin[match.start()], origin[match.end() - 1] + 1))
    apart: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if apart and begin < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((begin, end))
    return apart


@lru_cache(maxsize=256)
def _pattern(term: Term) -> re.Pattern[str]:
    """A phrase, or a word's beginning with the rest of the word."""
    words = [re.escape(word) for word in _WORD.findall(term.folded)]
    rest = r"(?!\w)" if term.is_phrase or len(term.folded) == 1 else r"\w*"
    return re.compile(r"(?<!\w)" + r"\W+".join(words) + rest)


def _best(marks: Sequence[tuple[int, int]]) -> int:
    """The place where most matches are near each other."""
    begins = [begin for begin, _ in marks]
    near = [bisect_right(begins, begin + _LONGEST // 2) - number for number, begin in enumerate(begins)]
    return begins[near.index(max(near))] if marks else 0


def _snippet(body: str, marks: Sequence[tuple[int, int]], first: int) -> str:
    begin = 0 if first <= _BEFORE else _blank_after(body, first - _BEFORE, first)
    end = len(body) if len(body) - begin <= _LONGEST else _blank_before(body, begin + _LONGEST, first + 1)
    parts = ["…"] if begin else []
    reached = begin
    for mark_begin, mark_end in marks:
        if begin <= mark_begin < end:
            shown = body[mark_begin : min(mark_end, end)].translate(_UNMARKED)
            parts += [body[reached:mark_begin].translate(_UNMARKED), BEGIN, shown, END]
            reached = min(mark_end, end)
    parts += [body[reached:end].translate(_UNMARKED), "…" if end < len(body) else ""]
    return "".join(parts)


def _blank_after(body: str, begin: int, limit: int) -> int:
    at = body.find(" ", begin, limit)
    return begin if at < 0 else at + 1


def _blank_before(body: str, end: int, limit: int) -> int:
    at = body.rfind(" ", limit, end)
    return end if at < 0 else at


def _moment(hit: Hit, place: int) -> int | None:
    """None for what was written. A corrected text is laid over the times of the machine's, if it heard any words."""
    if hit.spoken is None:
        return None
    if not hit.words:
        return 0
    if hit.body == hit.spoken:
        return start_of(hit.words, place)
    places = []
    reached = 0
    for word in (word for segment in _retimed(hit).segments for word in segment.words):
        reached = hit.body.find(word.text, reached)
        places.append((reached, word.start_ms))
    return start_of(places, place)


def _retimed(hit: Hit) -> Transcript:
    ends = [*hit.words[1:], (len(hit.spoken or ""), hit.words[-1][1])]
    words = tuple(
        Word(start_ms, next_ms, (hit.spoken or "")[begin:end].strip(), 1.0)
        for (begin, start_ms), (end, next_ms) in zip(hit.words, ends, strict=True)
    )
    whole = Segment(words[0].start_ms, words[-1].end_ms, hit.spoken or "", words)
    return corrected(Transcript("completed", None, None, hit.spoken or "", (whole,), ""), hit.body)


def _folded(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its letters the place that it comes from."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    letters = [(part, place) for place, letter in enumerate(text) for part in fold_letter(letter)]
    return "".join(part for part, _ in letters), [place for _, place in letters]
