"""Steps of the reaper that remove what people or operators do not want kept."""

import logging
import time
from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.context import Context
from storage import intents, people, retention

log = logging.getLogger(__name__)
_PATIENCE_S = 2.0
_EVERY_S = 600.0
Days = Field(None, gt=0, le=36_500)


class RetentionSettings(BaseSettings):
    """How many days each kind of object is kept after its message was sent; for good when not set."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_RETENTION_", env_ignore_empty=True, extra="ignore")

    originals_days: float | None = Days
    speech_audio_days: float | None = Days
    renditions_days: float | None = Days
    transcripts_days: float | None = Days


def erase_people(context: Context) -> None:
    """A part of every erasure that runs; the objects go with the reaper's own step."""
    with context.database.transaction() as connection:
        asked = people.running(connection)
    until = time.monotonic() + _PATIENCE_S
    for user_id in asked:
        while time.monotonic() < until:
            with context.database.transaction() as connection:
                if not people.step(connection, user_id):
                    break


class Retention:
    """Goes through all messages once in a while, and on where it stopped in between."""

    def __init__(self, settings: RetentionSettings) -> None:
        days = {name: getattr(settings, f"{name}_days") for name in retention.STEPS}
        self._kept = {name: timedelta(days=value) for name, value in days.items() if value is not None}
        self._reached = dict.fromkeys(self._kept, "")
        self._due_at = dict.fromkeys(self._kept, 0.0)

    def go_on(self, context: Context) -> None:
        for name, kept in self._kept.items():
            until = time.monotonic() + _PATIENCE_S
            while self._due_at[name] <= time.monotonic() < until:
                with context.database.transaction() as connection:
                    if intents.many_expired(connection):
                        # The objects of what was let go before come first.
                        return
                    reached = retention.STEPS[name](connection, kept, self._reached[name])
                # Begun anew each time: a message that was skipped for its state may be ready by then.
                self._reached[name] = reached or ""
                if reached is None:
                    self._due_at[name] = time.monotonic() + _EVERY_S
