import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe.decoding import FULL_FRAMES, MAX_LENGTH, Policy, Reading, best_reading
from transcribe.rows import Context, Row, group_rows, stacked


def row(frames: int, *, clip: int = 0, prompt: int = 0, speech: int = 50) -> Row:
    mel = np.full((80, speech), clip, np.float32)
    return Row(clip, mel, 0.0, speech / 100, ((0.0, speech / 100),), None, {}, (1,) * prompt, frames)


@given(
    speech=st.integers(1, FULL_FRAMES),
    tail=st.floats(0, 10),
    floor=st.floats(0, 30),
    step=st.sampled_from([0.02, 0.1, 0.2, 0.5, 1.0, 1.6, 2.5]),
    n_mels=st.sampled_from([80, 128]),
)
def test_a_context_holds_its_speech_and_never_looks_like_features(
    speech: int, tail: float, floor: float, step: float, n_mels: int
) -> None:
    frames = Context(tail_s=tail, floor_s=floor, step_s=step).frames(speech, n_mels)
    assert speech <= frames <= FULL_FRAMES
    assert frames // 2 not in (n_mels,)
    assert (frames + 1) // 2 != n_mels


def test_the_full_context_is_always_thirty_seconds() -> None:
    assert Context(tail_s=0, floor_s=0, full=True).frames(120, 80) == FULL_FRAMES


def test_only_rows_of_one_context_and_prompt_length_share_a_group() -> None:
    rows = [row(300), row(500), row(300, prompt=4), row(300), row(500)]
    groups = group_rows(rows, 8, 60)
    assert [[(r.frames, len(r.prompt)) for r in group] for group in groups] == [
        [(300, 0), (300, 0)],
        [(300, 4)],
        [(500, 0), (500, 0)],
    ]


@pytest.mark.parametrize(("frames", "size"), [(100, 12), (500, 8), (1000, 4), (1700, 2), (3000, 1), (6000, 1)])
def test_groups_are_small_enough_to_wait_for(frames: int, size: int) -> None:
    groups = group_rows([row(frames, clip=n) for n in range(25)], 12, 40.0)
    assert max(map(len, groups)) == size
    assert sorted(r.clip for group in groups for r in group) == list(range(25))


def test_where_few_groups_count_rows_of_different_context_share_one() -> None:
    rows = [row(300), row(500), row(300, prompt=4), row(1000), row(400)]
    groups = group_rows(rows, 3, 60, mixed=True)
    assert [[(r.frames, len(r.prompt)) for r in group] for group in groups] == [
        [(300, 0)],
        [(300, 4)],
        [(400, 0), (500, 0), (1000, 0)],
    ]


def test_a_mixed_group_is_bounded_by_its_longest_context() -> None:
    groups = group_rows([row(frames, clip=frames) for frames in range(100, 1600, 100)], 64, 40.0, mixed=True)
    assert max(len(group) * group[-1].frames for group in groups) <= 4000
    assert sorted(r.clip for group in groups for r in group) == list(range(100, 1600, 100))
    assert [len(group) for group in groups] == [6, 4, 3, 2]


def test_rows_are_padded_with_nothing_of_their_neighbours() -> None:
    features = stacked([row(100, clip=1, speech=30), row(100, clip=2, speech=70)], 100)
    assert features.shape == (2, 80, 100)
    assert (features[0, :, :30] == 1).all()
    assert (features[0, :, 30:] == 0).all()
    assert (features[1, :, 70:] == 0).all()


def test_a_rest_is_read_only_where_much_speech_is_left() -> None:
    whole = Row(0, np.zeros((80, 1000), np.float32), 5.0, 15.0, ((5.0, 8.0), (8.5, 15.0)), None, {}, (), 1100)
    rest = whole.rest(9.0, "de")
    assert rest is not None
    assert (rest.start_s, rest.speech_frames, rest.language) == (9.0, 600, "de")
    assert whole.rest(13.5, "de") is None
    assert rest.rest(9.5, "de") is None


def reading(text: str, logprob: float = -0.2, *, capped: bool = False, no_speech: float = 0.0) -> Reading:
    return Reading((1,), 1, text, logprob, no_speech, capped)


POLICY = Policy()


@pytest.mark.parametrize(
    ("found", "failed"),
    [
        (reading("See you at ten."), False),
        (reading("See you at ten.", -1.4), True),
        (reading("See you at ten.", capped=True), True),
        (reading("and then " * 30), True),
        (reading(""), False),
    ],
)
def test_what_loops_or_is_improbable_has_failed(found: Reading, failed: bool) -> None:
    assert found.failed(POLICY) is failed


def test_the_model_may_say_that_nobody_speaks_only_of_what_it_doubts() -> None:
    assert reading("Thank you.", -1.3, no_speech=0.9).silent(POLICY)
    assert not reading("Thank you.", -0.3, no_speech=0.9).silent(POLICY)


def test_nobody_says_a_sentence_in_the_time_of_a_knock() -> None:
    assert reading("Call me back, please.").hurried(POLICY, 0.16)
    assert not reading("Yes.").hurried(POLICY, 0.12)
    assert not reading("Thank you, bye bye!").hurried(POLICY, 0.6)
    assert not reading("x" * 220).hurried(POLICY, 10.0)


def test_a_loop_is_the_last_choice() -> None:
    loop, doubtful, poor = reading("na " * 90, -0.1), reading("Maybe.", -1.2), reading("Perhaps.", -1.9)
    assert best_reading([loop, doubtful, poor], POLICY) is doubtful


@pytest.mark.parametrize("frames", [100, 800, 1700, FULL_FRAMES])
def test_the_token_cap_fits_the_decoder(frames: int) -> None:
    assert 30 <= POLICY.cap(frames) <= MAX_LENGTH // 2
