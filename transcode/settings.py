"""Limits and targets of the room."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class TranscodeSettings(BaseSettings):
    """Read from `EARSHOT_…`; the defaults are the measured ones.

    `jail` says how much isolation above the floor (limits, own session, empty environment) is demanded;
    whatever the system offers is always used:
    `auto` refuses to run on the mere floor; `strict` also demands both the network and the file system
    to be shut off; `weak` runs on the floor when there is nothing better.
    """

    model_config = SettingsConfigDict(env_prefix="EARSHOT_", extra="ignore", frozen=True)

    jail: Literal["auto", "strict", "weak"] = "auto"
    max_duration_s: float = Field(60.0, gt=0, le=600)
    min_duration_s: float = Field(0.3, ge=0)
    loudness_target_lufs: float = -16.0
    loudness_max_gain_db: float = 20.0
    true_peak_dbtp: float = -1.5
    # 60 s at 64 kbit/s stay below the 512 KB that other messengers still take for a voice message.
    m4a_bitrate: int = Field(48_000, ge=16_000, le=64_000)
    opus_bitrate: int = Field(28_000, ge=12_000, le=64_000)
    memory_bytes: int = 768 * MEBIBYTE
    decode_cpu_s: int = Field(15, ge=1)
    encode_cpu_s: int = Field(60, ge=1)
    process_wall_s: float = Field(25.0, gt=0)
