"""What the corridor itself needs to know, and every room's settings composed once."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.settings import IngestSettings
from storage.settings import StorageSettings
from transcode import TranscodeSettings
from transcribe import TranscribeSettings


class PipelineSettings(BaseSettings):
    """The broker, the leases and how much runs side by side. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_", env_ignore_empty=True, extra="ignore")

    broker_url: str = Field("redis://127.0.0.1:6379/0", repr=False)
    # `local` is the embedded stack; production refuses what is only good for trying things out.
    deployment: Literal["production", "local"] = "production"
    # A worker that shows no sign of life for this long loses its jobs.
    lease_s: float = Field(30, ge=3, le=600)
    # How long one ring keeps a worker at it before it rings for itself again.
    drain_s: float = Field(60, gt=0, le=600)
    reaper_tick_s: float = Field(2, gt=0, le=60)
    media_slots: int = Field(2, ge=1, le=64)
    # How many speech jobs are claimed together; the engine cuts them into groups of its own.
    speech_claim: int = Field(8, ge=1, le=256)
    # Whether the speech audio stays for later re-runs; without it they start from the original.
    keep_speech_audio: bool = True


@dataclass(frozen=True)
class Settings:
    storage: StorageSettings = field(default_factory=StorageSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    transcode: TranscodeSettings = field(default_factory=TranscodeSettings)
    transcribe: TranscribeSettings = field(default_factory=TranscribeSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)

    @property
    def may_use_micro(self) -> bool:
        return self.transcribe.allow_micro or self.pipeline.deployment == "local"
