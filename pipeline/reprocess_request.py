"""Beginning a run: is there such a model, how much is there to do, how long will it take."""

import time

from pipeline.settings import PipelineSettings
from storage import run_speed, run_walk
from storage.database import Database
from storage.run_speed import Speed
from storage.runs import QUEUE_OF, Plan, Survey
from transcribe import ModelError, TranscribeSettings, resolve_model

# Counting goes on for so long; what is not counted by then is guessed.
_PATIENCE_S = 10.0
BRIEFLY_S = 2.0


def check_model(name: str) -> None:
    """Raises ModelError for a model that can't be. Where workers have machines of their own, only they know which of
    the models that there are they have: their jobs wait, and the run says why."""
    deployment, settings = PipelineSettings().deployment, TranscribeSettings()
    try:
        resolve_model(name, allow_micro=settings.allow_micro or deployment == "local")
    except ModelError as error:
        if error.code != "model_missing" or deployment == "local":
            raise


def survey(database: Database, plan: Plan, patience_s: float = _PATIENCE_S) -> Survey:
    """Counts in pages, none of which is long."""
    until = time.monotonic() + patience_s
    with database.reading() as connection:
        walk = run_walk.planned(connection, plan)
        messages = audio_ms = pages = 0
        place: str | None = ""
        while place is not None and time.monotonic() < until:
            found, found_ms, place = run_walk.survey(connection, walk, place)
            messages, audio_ms, pages = messages + found, audio_ms + found_ms, pages + 1
        if place is not None:
            share = max(1.0, run_walk.known_messages(connection) / (pages * run_walk.SURVEY_PAGE))
            messages, audio_ms = round(messages * share), round(audio_ms * share)
    if plan.at_most is not None and messages > plan.at_most:
        messages, audio_ms = plan.at_most, audio_ms * plan.at_most // messages
    return Survey(messages, int(audio_ms), place is None)


def speed(database: Database, plan: Plan) -> Speed | None:
    with database.reading() as connection:
        return run_speed.measured(connection, QUEUE_OF[plan.kind])


def estimate_s(plan: Plan, found: Survey, measured: Speed | None) -> float | None:
    """Seconds until a run would be done; None where nobody has measured."""
    by_rate = found.messages / plan.rate_limit if plan.rate_limit else None
    by_speed = found.audio_ms / measured.audio_ms_per_s if measured else None
    known = [seconds for seconds in (by_rate, by_speed) if seconds is not None]
    return max(known, default=None)
