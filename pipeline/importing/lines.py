"""What one line of a manifest says, checked as strictly as an upload's request."""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingest.names import ExternalId, Language, Title, UserId
from storage.ids import is_id
from storage.threads import MAX_PARTICIPANTS

# Clocks differ.
_AHEAD = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _thread_id(text: str) -> str:
    if not is_id("thr", text):
        raise ValueError("must be a thread's id, thr_…; the host application's own id goes into thread_external_id")
    return text


def _nameable(text: str) -> str:
    os.fsencode(text)
    return text


def _past(moment: datetime) -> datetime:
    if not _EPOCH <= moment <= datetime.now(UTC) + _AHEAD:
        raise ValueError("must lie between 1970 and now")
    return moment.astimezone(UTC)


class Line(BaseModel):
    """A recording and whose it is. The thread is named by its id or by the host application's, which makes it."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_nameable)]
    thread: Annotated[str, AfterValidator(_thread_id)] | None = None
    thread_external_id: ExternalId | None = None
    thread_title: Title | None = None
    participants: Annotated[list[UserId], Field(max_length=MAX_PARTICIPANTS)] = []
    sender: UserId
    sent_at: Annotated[AwareDatetime, AfterValidator(_past)]
    external_id: ExternalId | None = None
    language: Language | None = None

    @model_validator(mode="after")
    def _one_thread(self) -> Self:
        if (self.thread is None) == (self.thread_external_id is None):
            raise ValueError("name either thread or thread_external_id")
        return self


class Wrong(Exception):
    """A line that says nothing that could be imported."""


def checked(fields: object) -> Line:
    """Raises Wrong, with every fault in it."""
    try:
        return Line.model_validate(fields)
    except ValidationError as error:
        raise Wrong("; ".join(_told(problem) for problem in error.errors())) from error


def _told(problem: object) -> str:
    place = ".".join(str(part) for part in problem["loc"])  # type: ignore[index]
    said = str(problem["msg"]).removeprefix("Value error, ")  # type: ignore[index]
    return f"{place}: {said}" if place else said
