"""What clients send. Answers are in pipeline.render, where webhooks find them too."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.auth import MAX_USER
from storage.threads import MAX_PARTICIPANTS

MAX_TEXT = 10_000
MAX_TITLE = 200
MAX_EXTERNAL_ID = 200
# Far beyond a minute: players round up and clocks differ.
MAX_POSITION_MS = 600_000


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable characters")
    return text


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    if not text.strip():
        raise ValueError("must say something")
    return text


def _primary_subtag(language: str) -> str:
    return language.partition("-")[0].lower()


UserId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_USER), AfterValidator(_printable)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE), AfterValidator(_printable)]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXTERNAL_ID), AfterValidator(_printable)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_storable)]
# A language tag such as en or pt-BR, of which the models know the first part.
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$", max_length=40),
    AfterValidator(_primary_subtag),
]


class NewThread(BaseModel):
    participants: list[UserId] = Field(max_length=MAX_PARTICIPANTS)
    title: Title | None = None
    external_id: ExternalId | None = None


class NewParticipant(BaseModel):
    user_id: UserId


class NewText(BaseModel):
    text: Said


class NewTranscript(BaseModel):
    # A model is chosen for the whole service; asking for another one must not look as if it were heard.
    model_config = ConfigDict(extra="forbid")

    language: Language | None = None


class Correction(BaseModel):
    text: Said


class Played(BaseModel):
    position_ms: int = Field(ge=0, le=MAX_POSITION_MS)
    completed: bool = False


class Signal(BaseModel):
    kind: Literal["typing", "recording"]


class Read(BaseModel):
    message_id: str = Field(max_length=64)
