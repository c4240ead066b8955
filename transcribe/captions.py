"""Transcripts as files: text, JSON, WebVTT and SubRip."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher

from transcribe.transcript import Segment, Transcript, Word

LINE = 42
CUE = 2 * LINE
LONGEST_CUE_MS = 7000
SHORTEST_CUE_MS = 700
# Of equal words before and after a correction. A minute of speech has some hundreds with what was really said.
_MOST_PAIRS = 4_000


@dataclass(frozen=True)
class Cue:
    start_ms: int
    end_ms: int
    text: str


def to_text(transcript: Transcript) -> str:
    return transcript.text + "\n" if transcript.text else ""


def to_json(transcript: Transcript) -> str:
    """Without the storage version: what a reader of captions wants."""
    return json.dumps(asdict(transcript), ensure_ascii=False)


def to_vtt(segments: Sequence[Segment] | Transcript) -> str:
    """https://www.w3.org/TR/webvtt1/"""
    blocks = [
        f"{_stamp(cue.start_ms, '.')} --> {_stamp(cue.end_ms, '.')}\n{_vtt_text(cue)}\n" for cue in cues(segments)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def to_srt(segments: Sequence[Segment] | Transcript) -> str:
    blocks = [
        f"{number}\n{_stamp(cue.start_ms, ',')} --> {_stamp(cue.end_ms, ',')}\n{_lines(cue.text)}\n"
        for number, cue in enumerate(cues(segments), 1)
    ]
    return "\n".join(blocks)


def corrected(transcript: Transcript, text: str) -> Transcript:
    """The transcript with a person's text in place of the model's, timed by where each word lies in the old one.

    Words that stayed keep their times and probability; changed runs share the time of what they replace.
    """
    old = [word for segment in transcript.segments for word in segment.words]
    spoken = (transcript.segments[0].start_ms, transcript.segments[-1].end_ms) if transcript.segments else (0, 0)
    words = _retimed(old, text.split(), spoken)
    segments = tuple(_sentences(words))
    return replace(transcript, state="completed", text=text, segments=segments)


def cues(segments: Sequence[Segment] | Transcript) -> list[Cue]:
    """At most two lines and 7 s each, in order, never overlapping, never of no length."""
    if isinstance(segments, Transcript):
        segments = segments.segments
    found: list[Cue] = []
    for segment in segments:
        found += _segment_cues(segment)
    return _monotone(found)


def _segment_cues(segment: Segment) -> list[Cue]:
    found: list[Cue] = []
    first: Word | None = None
    begin = reached = 0
    last_end = segment.start_ms
    for word in segment.words or _spread(segment):
        at = segment.text.find(word.text, reached)
        at = reached if at < 0 else at
        behind = at + len(word.text)
        if first and (behind - begin > CUE or word.end_ms - first.start_ms > LONGEST_CUE_MS):
            found.append(Cue(first.start_ms, last_end, segment.text[begin:reached].strip()))
            first = None
        if first is None:
            first, begin = word, at
        reached, last_end = behind, word.end_ms
    if first:
        found.append(Cue(first.start_ms, last_end, segment.text[begin:].strip()))
    return found


def _spread(segment: Segment) -> list[Word]:
    """Without word times: each piece of text gets time by its share of the characters."""
    share = (segment.end_ms - segment.start_ms) / max(1, len(segment.text))
    return [
        Word(segment.start_ms + round(m.start() * share), segment.start_ms + round(m.end() * share), m[0], 0.0)
        for m in re.finditer(rf"\S{{1,{LINE}}}", segment.text)
    ]


def _monotone(found: list[Cue]) -> list[Cue]:
    """Start where the previous cue ended at the earliest; stay readable where there is room."""
    result: list[Cue] = []
    for index, cue in enumerate(found):
        start = max(cue.start_ms, result[-1].end_ms if result else 0)
        room = found[index + 1].start_ms if index + 1 < len(found) else start + SHORTEST_CUE_MS
        end = max(cue.end_ms, min(start + SHORTEST_CUE_MS, room), start + 1)
        result.append(Cue(start, end, cue.text))
    return result


def _lines(text: str) -> str:
    """One line, or two of about the same length; an empty line would end the cue."""
    text = " ".join(text.split())
    if len(text) <= LINE:
        return text
    spaces = [m.start() for m in re.finditer(" ", text)] or [len(text) // 2]
    cut = min(spaces, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:cut].rstrip()}\n{text[cut:].lstrip()}"


def _vtt_text(cue: Cue) -> str:
    return _lines(cue.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(time_ms: int, mark: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{milliseconds:03}"


def _retimed(old: Sequence[Word], texts: Sequence[str], spoken: tuple[int, int]) -> list[Word]:
    words: list[Word] = []
    for kind, first, behind, new_first, new_behind in _changes(
        [_plain(word.text) for word in old], [_plain(text) for text in texts]
    ):
        if kind == "equal":
            pairs = zip(old[first:behind], texts[new_first:new_behind], strict=True)
            words += [replace(word, text=text) for word, text in pairs]
        elif new_behind > new_first:
            start = old[first].start_ms if first < len(old) else spoken[1]
            start = words[-1].end_ms if kind == "insert" and words else start
            end = old[behind - 1].end_ms if behind > first else start
            if not old:
                start, end = spoken
            words += _evenly(texts[new_first:new_behind], start, end)
    return words


def _changes(old: Sequence[str], new: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """As of SequenceMatcher. One change where the same words come again and again: comparing those takes their pairs
    times their number, and whoever corrects may be up to mischief."""
    times = Counter(old)
    if sum(times[word] for word in new) > _MOST_PAIRS:
        return [("replace", 0, len(old), 0, len(new))]
    return SequenceMatcher(None, old, new, False).get_opcodes()


def _evenly(texts: Sequence[str], start_ms: int, end_ms: int) -> list[Word]:
    edges = [start_ms + (end_ms - start_ms) * n // len(texts) for n in range(len(texts) + 1)]
    return [Word(edges[n], edges[n + 1], text, 1.0) for n, text in enumerate(texts)]


def _sentences(words: Sequence[Word]) -> list[Segment]:
    found: list[Segment] = []
    first = 0
    for index, word in enumerate(words):
        if word.text.rstrip("\"'”’)»")[-1:] in tuple(".?!。？！…") or index + 1 == len(words):
            part = tuple(words[first : index + 1])
            found.append(Segment(part[0].start_ms, part[-1].end_ms, " ".join(w.text for w in part), part))
            first = index + 1
    return found


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum()) or text
