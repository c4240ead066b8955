"""What clients send. Answers are in pipeline.render, where webhooks find them too."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from ingest.names import ExternalId, Language, Title, UserId, printable
from storage.threads import MAX_PARTICIPANTS

MAX_TEXT = 10_000
# Far beyond a minute: players round up and clocks differ.
MAX_POSITION_MS = 600_000
MAX_AGE_MS = 365 * 86_400_000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    if not text.strip():
        raise ValueError("must say something")
    return text


Said = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_storable)]

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(printable)]


class NewThread(BaseModel):
    participants: list[UserId] = Field(max_length=MAX_PARTICIPANTS)
    title: Title | None = None
    external_id: ExternalId | None = None


class NewParticipant(BaseModel):
    user_id: UserId


class NewText(BaseModel):
    text: Said
    external_id: ExternalId | None = None


class NewTranscript(BaseModel):
    """Without `model`, the one that the workers run."""

    # What is not known must not look as if it were heard.
    model_config = ConfigDict(extra="forbid")

    language: Language | None = None
    model: ModelName | None = None


class Correction(BaseModel):
    text: Said


class Played(BaseModel):
    position_ms: int = Field(ge=0, le=MAX_POSITION_MS)
    completed: bool = False
    # How long ago that was: a client without a line tells later, and must not undo what another device told meanwhile.
    age_ms: int = Field(0, ge=0, le=MAX_AGE_MS)


class Signal(BaseModel):
    kind: Literal["typing", "recording"]


class Read(BaseModel):
    message_id: str = Field(max_length=64)
