"""What callers may call people, threads, messages and languages, in whichever way they tell us."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_USER = 128
MAX_TITLE = 200
MAX_EXTERNAL_ID = 200


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable characters")
    return text


def _primary_subtag(language: str) -> str:
    return language.partition("-")[0].lower()


UserId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_USER), AfterValidator(printable)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE), AfterValidator(printable)]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXTERNAL_ID), AfterValidator(printable)]
# A language tag such as en or pt-BR, of which the models know the first part.
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$", max_length=40),
    AfterValidator(_primary_subtag),
]
