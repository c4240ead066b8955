"""What an upload may be."""

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class IngestSettings(BaseSettings):
    """`max_bytes` counts the recording alone, without a form around it; durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="EARSHOT_UPLOAD_", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    max_bytes: int = Field(25 * MIB, ge=1, le=1024 * MIB)
    # A body that brings nothing for this long is given up.
    idle_s: float = Field(30, gt=0, le=600)
    # Whether a user's uploads are counted against the three limits below.
    rate_limits: bool = Field(True, validation_alias=AliasChoices("EARSHOT_RATE_LIMITS", "rate_limits"))
    open_uploads: int = Field(20, ge=1)
    hourly_messages: int = Field(300, ge=1)
    hourly_bytes: int = Field(2048 * MIB, ge=1)
