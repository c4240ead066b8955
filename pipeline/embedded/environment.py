"""The settings that the parts run with. One that is set outside wins, and replaces the part behind it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.embedded import broker, postgres, s3
from pipeline.embedded.data_dir import Credentials, DataDir

BUCKET = "earshot"


@dataclass(frozen=True)
class Replaced:
    """Which servers are somebody else's."""

    postgres: bool
    broker: bool
    s3: bool

    @classmethod
    def by(cls, outside: Mapping[str, str]) -> "Replaced":
        return cls(
            postgres=bool(outside.get("EARSHOT_DATABASE_URL")),
            broker=bool(outside.get("EARSHOT_BROKER_URL")),
            s3=bool(outside.get("EARSHOT_S3_ENDPOINT_URL") or outside.get("EARSHOT_S3_BUCKET")),
        )


@dataclass(frozen=True)
class Ports:
    """0 where the server is somebody else's."""

    postgres: int
    broker: int
    s3: int
    api: int

    @classmethod
    def of(cls, data: DataDir, replaced: Replaced, api: int) -> "Ports":
        return cls(
            postgres=0 if replaced.postgres else data.port("postgres"),
            broker=0 if replaced.broker else data.port("redis"),
            s3=0 if replaced.s3 else data.port("s3"),
            api=api,
        )


def for_servers(data: DataDir) -> dict[str, str]:
    """Little, since every server reads variables of its own that a user may have set for other purposes."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(data.path), "LC_ALL": "C", "TZ": "UTC"}


def for_rooms(
    outside: Mapping[str, str], ports: Ports, keys: Credentials, *, public_url: str, model: str
) -> dict[str, str]:
    """What API and workers get: everything from outside, and ours where it is silent."""
    replaced = Replaced.by(outside)
    ours = {
        "EARSHOT_DEPLOYMENT": "local",
        # All isolation that this machine offers is used; where it offers none, the floor is enough to try things out.
        "EARSHOT_JAIL": "weak",
        "EARSHOT_MODEL": model,
        "EARSHOT_PUBLIC_URL": public_url,
        "EARSHOT_RATE_LIMITS": "off",
        "PYTHONUNBUFFERED": "1",
    }
    if not replaced.postgres:
        ours["EARSHOT_DATABASE_URL"] = postgres.url(ports.postgres, keys.database_password)
    if not replaced.broker:
        ours["EARSHOT_BROKER_URL"] = broker.url(ports.broker, keys.broker_password)
    if not outside.get("EARSHOT_JWKS_URL"):
        ours["EARSHOT_JWT_SECRET"] = keys.jwt_secret
    if not replaced.s3:
        ours["EARSHOT_PLAYBACK"] = "proxied"
    if outside.get("EARSHOT_PLAYBACK", ours.get("EARSHOT_PLAYBACK")) == "proxied":
        ours["EARSHOT_PLAYBACK_SECRET"] = keys.playback_secret
    given = {name: value for name, value in outside.items() if value}
    if not replaced.s3:
        # Profiles, regions and keys that the user has set for AWS are not for our server.
        given = {name: value for name, value in given.items() if not name.startswith("AWS_")}
        given |= _own_s3(ports, keys)
    if model != "auto":
        given["EARSHOT_MODEL"] = model
    return {**ours, **given, **_around_proxies(outside)}


def _own_s3(ports: Ports, keys: Credentials) -> dict[str, str]:
    return {
        "EARSHOT_S3_ENDPOINT_URL": s3.url(ports.s3),
        "EARSHOT_S3_BUCKET": BUCKET,
        "EARSHOT_S3_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key,
    }


def _around_proxies(outside: Mapping[str, str]) -> dict[str, str]:
    already = outside.get("NO_PROXY") or outside.get("no_proxy")
    value = ",".join(filter(None, (already, "127.0.0.1", "localhost")))
    return {"NO_PROXY": value, "no_proxy": value}
