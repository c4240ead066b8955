"""Who may call, and where the API is reached."""

from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class ApiSettings(BaseSettings):
    """Exactly one of `jwt_secret` (HS256) and `jwks_url` (RS256, ES256, EdDSA) says which tokens are believed."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_", env_ignore_empty=True, extra="ignore")

    # The API's own address in every URL it writes; the Host header is never believed.
    public_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8300")
    jwt_secret: SecretStr | None = Field(None, min_length=32)
    jwks_url: AnyHttpUrl | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    # Origins of web pages that may call the API, separated by commas; `*` for any.
    cors_origins: Annotated[list[str], NoDecode] = []
    # Whether who joins a thread also sees what was said before.
    join_history: Literal["all", "none"] = "none"
    api_threads: int = Field(40, ge=1, le=400)
    # Uploads have threads of their own: when the object store hangs, reading goes on.
    upload_threads: int = Field(16, ge=1, le=400)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source_of_trust(self) -> Self:
        if (self.jwt_secret is None) == (self.jwks_url is None):
            raise ValueError("set exactly one of EARSHOT_JWT_SECRET and EARSHOT_JWKS_URL")
        return self
