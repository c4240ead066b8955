import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES
from pydantic import TypeAdapter, ValidationError

from ingest.names import LANGUAGES, Language

LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)


def test_the_languages_are_those_that_whisper_knows() -> None:
    assert set(_LANGUAGE_CODES) == LANGUAGES


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "en"), ("pt-BR", "pt"), ("zh-Hant-TW", "zh"), ("nb-NO", "no"), ("fil-PH", "tl"), ("DE", "de")],
)
def test_a_phones_language_tag_is_understood(tag: str, code: str) -> None:
    assert LANGUAGE.validate_python(tag) == code


@pytest.mark.parametrize("tag", ["xx", "tlh", "xx-EN", "klingon", "", "en\n", "../en"])
def test_a_language_that_no_model_knows_is_refused_with_what_to_do(tag: str) -> None:
    with pytest.raises(ValidationError, match="such as en, de or pt-BR, or none to detect it"):
        LANGUAGE.validate_python(tag)
