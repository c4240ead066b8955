"""What an upload may be."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class IngestSettings(BaseSettings):
    """`max_bytes` counts the recording alone, without a form around it; durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_UPLOAD_", env_ignore_empty=True, extra="ignore")

    max_bytes: int = Field(25 * MIB, ge=1, le=1024 * MIB)
    # A body that brings nothing for this long is given up.
    idle_s: float = Field(30, gt=0, le=600)
