"""Where the durable things are. Read from the environment; nothing is connected here."""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageSettings(BaseSettings):
    """Postgres and the S3 bucket.

    `s3_endpoint_url` is how this process reaches S3 (none: AWS itself), `s3_public_url` how clients do: URLs given to
    them are signed for it. Without keys, boto3 looks where it always does (profile, instance role).
    """

    model_config = SettingsConfigDict(
        env_prefix="EARSHOT_", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    database_url: str = Field(repr=False)
    s3_bucket: str = "earshot"
    s3_endpoint_url: str | None = None
    s3_public_url: str | None = None
    s3_prefix: str = Field("messages", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    s3_region: str = Field(
        "us-east-1", validation_alias=AliasChoices("EARSHOT_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    )
    # `auto` is path style for an endpoint of your own and virtual-host style for AWS.
    s3_addressing: Literal["auto", "path", "virtual"] = "auto"
    s3_access_key: str | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID", repr=False)
    s3_secret_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    s3_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
