from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class TranscribeSettings(BaseSettings):
    """Speech settings, each from `EARSHOT_<NAME>`. Zero and None mean: chosen from the machine and the model."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_", extra="ignore")

    model: str = Field("auto", description="`auto`, `micro`, a name such as `base`, a hub id or a folder")
    allow_micro: bool = Field(False, description="let a production worker start on the demo model")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = Field("auto", description="int8, float16, int8_float16, float32; auto fits the device")
    speech_workers: int = Field(0, ge=0, description="row groups computed at the same time")
    speech_threads: int = Field(0, ge=0, description="threads of each")
    speech_batch: int = Field(0, ge=0, description="most rows in one group")
    speech_context: Literal["auto", "fitted", "full"] = Field("auto", description="see `earshot models check`")
    speech_tail_s: float | None = Field(None, ge=0, le=10, description="empty context after the speech")
    speech_floor_s: float | None = Field(None, ge=0, le=30, description="shortest context")
    word_timestamps: bool = True
    languages: Annotated[tuple[str, ...], NoDecode] = Field((), description="only these are ever detected")
    usual_language: str | None = Field(None, description="taken for short clips whose language is unclear")
    prompt_names: bool = Field(False, description="give thread members' names to the model")
    hotwords: str = Field("", description="terms given to the model with every message")

    @field_validator("languages", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value
