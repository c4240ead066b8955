import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe.words import LONGEST_WORD_S, Timed, placed, sentences

VOICED = ((10.0, 12.0), (13.0, 15.0))


def words(*times: tuple[float, float, str]) -> list[Timed]:
    return [Timed(start, end, text, 0.9) for start, end, text in times]


def spans(found: list[Timed]) -> list[tuple[float, float]]:
    return [(round(word.start, 3), round(word.end, 3)) for word in found]


def test_times_count_from_the_start_of_the_recording() -> None:
    assert spans(placed(words((0.0, 0.5, " Hi"), (0.5, 0.9, " Bob.")), 10.0, 15.0, VOICED)) == [
        (10, 10.5),
        (10.5, 10.9),
    ]


def test_a_word_that_the_alignment_puts_into_a_pause_begins_with_the_speech() -> None:
    assert spans(placed(words((1.0, 1.9, " here."), (2.4, 3.5, " Then")), 10.0, 15.0, VOICED))[1] == (13, 13.5)


def test_a_word_stretched_over_a_pause_ends_with_the_speech() -> None:
    assert spans(placed(words((1.6, 2.7, " here."), (2.9, 3.5, " Then")), 10.0, 15.0, VOICED)) == [
        (11.6, 12),
        (13, 13.5),
    ]


@given(
    st.lists(st.tuples(st.floats(0, 6), st.floats(0, 6)), max_size=12),
    st.sampled_from([VOICED, ((10.0, 15.0),), ((10.2, 10.4), (14.0, 14.9))]),
)
def test_words_are_always_in_order_inside_the_window(
    times: list[tuple[float, float]], voiced: tuple[tuple[float, float], ...]
) -> None:
    found = placed(words(*((start, end, " w") for start, end in times)), 10.0, 15.0, voiced)
    assert len(found) == len(times)
    for word in found:
        assert 10.0 <= word.start <= word.end <= 15.0
        assert word.end - word.start <= LONGEST_WORD_S + 1e-9
    assert all(word.end <= following.start + 1e-9 for word, following in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("texts", "split"),
    [
        ([" Hi", " Bob.", " Bye."], ["Hi Bob.", "Bye."]),
        ([" He", " said", ' "no."', " Yes?"], ['He said "no."', "Yes?"]),
        (["今日", "は。", "はい"], ["今日は。", "はい"]),
        ([" no", " mark"], ["no mark"]),
    ],
)
def test_a_sentence_ends_with_its_mark(texts: list[str], split: list[str]) -> None:
    found = sentences(words(*((n * 0.3, n * 0.3 + 0.3, text) for n, text in enumerate(texts))))
    assert [segment.text for segment in found] == split


def test_a_long_pause_ends_a_sentence_too() -> None:
    found = sentences(words((0, 0.4, " well"), (2.0, 2.4, " then")))
    assert [(segment.start_ms, segment.text) for segment in found] == [(0, "well"), (2000, "then")]
