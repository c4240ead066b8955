"""What callers may call people, threads, messages and languages, in whichever way they tell us."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

MAX_USER = 128
MAX_TITLE = 200
MAX_EXTERNAL_ID = 200
# What Whisper was trained on; a model may know fewer.
_CODES = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is"
    " it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk"
    " sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh"
)
LANGUAGES = frozenset(_CODES.split())
_TAG = "[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}"
# What phones call some of them.
_OTHER_CODES = {"nb": "no", "fil": "tl", "iw": "he", "in": "id", "ji": "yi", "jv": "jw", "cmn": "zh"}


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable characters")
    return text


def _known_language(tag: str) -> str:
    code = tag.partition("-")[0].lower()
    code = _OTHER_CODES.get(code, code)
    if not re.fullmatch(_TAG, tag) or code not in LANGUAGES:
        raise ValueError(
            "no speech model knows this language: give a code such as en, de or pt-BR, or none to detect it"
        )
    return code


UserId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_USER), AfterValidator(printable)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE), AfterValidator(printable)]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXTERNAL_ID), AfterValidator(printable)]
# A language tag such as en or pt-BR, of which the models know the first part.
Language = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"pattern": f"^{_TAG}$"}),
    AfterValidator(_known_language),
]
