import pytest

from transcribe import TranscribeError
from transcribe.language import Language, canonical_language, choose_language

SURE = {"en": 0.97, "de": 0.02, "es": 0.01}
UNSURE = {"en": 0.45, "de": 0.40, "nl": 0.10, "es": 0.05}
LOST = {"cy": 0.30, "en": 0.25, "de": 0.05, "es": 0.01}


def test_a_sure_detection_stands_against_every_prior() -> None:
    chosen = choose_language(SURE, allowed=(), prior={"de": 1.0}, speech_s=2.0)
    assert chosen == Language("en", 0.97)


def test_an_unsure_detection_is_decided_by_what_is_usual_here() -> None:
    chosen = choose_language(UNSURE, allowed=(), prior={"de": 0.8, "en": 0.2}, speech_s=12.0)
    assert chosen == Language("de", 0.40)


def test_a_short_unclear_clip_is_in_the_usual_language() -> None:
    assert choose_language(LOST, allowed=(), prior={"es": 3.0, "de": 1.0}, speech_s=1.5) == Language("es", 0.01)


def test_without_a_prior_the_most_probable_language_stands() -> None:
    assert choose_language(LOST, allowed=(), prior={}, speech_s=1.5) == Language("cy", 0.30)


def test_only_allowed_languages_are_chosen_and_their_probability_is_the_models_own() -> None:
    assert choose_language(LOST, allowed=("de", "es"), prior={}, speech_s=1.5) == Language("de", 0.05)


def test_a_prior_for_a_language_that_is_not_allowed_changes_nothing() -> None:
    assert choose_language(LOST, allowed=("de", "en"), prior={"fr": 1.0}, speech_s=1.5) == Language("en", 0.25)


@pytest.mark.parametrize(("given", "code"), [("en", "en"), ("pt-BR", "pt"), ("DE_at", "de"), (" es ", "es")])
def test_language_tags_are_understood(given: str, code: str) -> None:
    assert canonical_language(given, ["en", "de", "es", "pt"]) == code


@pytest.mark.parametrize("given", ["", "xx", "english", "../en", "🙂"])
def test_a_language_that_does_not_exist_is_named(given: str) -> None:
    with pytest.raises(TranscribeError, match="give de, en, es, or none") as raised:
        canonical_language(given, ["en", "de", "es"])
    assert raised.value.code == "unknown_language"
