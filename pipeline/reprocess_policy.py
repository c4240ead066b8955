"""Whether a run's new transcript takes the place of the one that people see."""

from collections import defaultdict
from collections.abc import Sequence

from storage.languages import fold
from storage.run_items import Before, Verdict
from storage.transcripts import SpeechResult

# `confidence` is the mean probability of a token, 0-1. Models of different sizes differ by less on the same recording;
# a text that lost its way loses more.
MUCH_LESS_CONFIDENT = 0.2


def judge(before: Before, result: SpeechResult) -> Verdict:
    """Under every policy a blank text never takes the place of words."""
    if before.left_alone is not None:
        return Verdict("left_alone", before.left_alone)
    different = words_between(before.text, result.text)
    reason = _objection(before, result)
    if reason is not None:
        return Verdict("refused", reason, words=different)
    same = (before.state, before.text, before.language) == (result.state, result.text, result.language)
    return Verdict("unchanged" if same else "changed", adopted=True, words=different)


def _objection(before: Before, result: SpeechResult) -> str | None:
    if not before.text:
        return None
    if not result.text:
        return "blank_over_text"
    if before.policy == "always" or before.confidence is None or result.confidence is None:
        return None
    if result.confidence < before.confidence - MUCH_LESS_CONFIDENT:
        return "less_confident"
    if before.language != result.language and result.confidence < before.confidence:
        return "other_language"
    return None


def words_between(old: str, new: str) -> int:
    """How many words have to be put in, taken out or replaced, however they are written and whatever stands between."""
    if old == new:
        return 0
    return _distance(_words(old), _words(new))


def _words(text: str) -> list[str]:
    plain = "".join(letter if letter.isalnum() or letter in "'’" else " " for letter in fold(text))
    return plain.split()


def _distance(old: Sequence[str], new: Sequence[str]) -> int:
    """Levenshtein's, a row at a time in the bits of a number (Myers 1999, in Hyyrö's form, 2003)."""
    if not old or not new:
        return max(len(old), len(new))
    places: dict[str, int] = defaultdict(int)
    for number, word in enumerate(old):
        places[word] |= 1 << number
    every, last = (1 << len(old)) - 1, 1 << (len(old) - 1)
    plus, minus, distance = every, 0, len(old)
    for word in new:
        match = places.get(word, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        up, down = minus | (every & ~(diagonal | plus)), plus & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1) | 1, down << 1
        plus, minus = (down | ~(diagonal | up)) & every, up & diagonal & every
    return distance
