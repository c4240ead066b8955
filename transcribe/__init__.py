"""Speech to text: a recording as samples goes in, a Transcript comes out. Knows nothing of jobs, storage or HTTP.

Importing this package loads no model library; `load_engine` does.
"""

from typing import TYPE_CHECKING

from transcribe.captions import corrected, to_json, to_srt, to_text, to_vtt
from transcribe.clip import Clip, load_clip
from transcribe.errors import ModelError, TranscribeError
from transcribe.models import ListedModel, ResolvedModel, fetch_model, list_models, resolve_model
from transcribe.protocol import Engine, Outcome
from transcribe.settings import TranscribeSettings
from transcribe.transcript import Segment, Transcript, Word

if TYPE_CHECKING:
    from pathlib import Path

    from transcribe.check import ModelCheck
    from transcribe.decoding import Policy

__all__ = [
    "Clip",
    "Engine",
    "ListedModel",
    "ModelError",
    "Outcome",
    "ResolvedModel",
    "Segment",
    "TranscribeError",
    "TranscribeSettings",
    "Transcript",
    "Word",
    "check_model",
    "corrected",
    "fetch_model",
    "list_models",
    "load_clip",
    "load_engine",
    "resolve_model",
    "to_json",
    "to_srt",
    "to_text",
    "to_vtt",
]


def load_engine(settings: TranscribeSettings, *, policy: "Policy | None" = None) -> Engine:
    """Load the model that `settings` names and return its engine. Raises ModelError, which says what to do."""
    from transcribe.loading import load

    return load(settings, policy)


def check_model(name: str, folder: "Path", settings: TranscribeSettings | None = None) -> "ModelCheck":
    """Measure a model's contexts on the recordings in `folder`; `str()` of the answer is a table. Raises ModelError."""
    from transcribe.check import check_model as check

    return check(name, folder, settings)
