"""URLs that play a rendition. They are made when a message is read, never stored, and stop working when they expire."""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol, Self
from urllib.parse import urlencode, urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.messages import StoredRendition
from storage.objects import ObjectStore

# Expiry is rounded up to a step, so that a URL is stable, and what it names cacheable, within it.
STEP_S = 300
_EXTENSIONS = {"m4a": "m4a", "opus": "ogg"}


class PlaybackSettings(BaseSettings):
    """`presigned` sends the client to S3 or a CDN, `proxied` to our own API."""

    model_config = SettingsConfigDict(env_prefix="EARSHOT_", env_ignore_empty=True, extra="ignore")

    playback: Literal["presigned", "proxied"] = "presigned"
    playback_ttl_s: int = Field(900, ge=60, le=6 * 24 * 3600)
    # Signs proxied URLs; without one it is derived from the JWT secret.
    playback_secret: SecretStr | None = Field(None, min_length=32)
    jwt_secret: SecretStr | None = None
    public_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8300")

    @model_validator(mode="after")
    def _proxied_urls_can_be_signed(self) -> Self:
        if self.playback == "proxied" and self.playback_secret is None and self.jwt_secret is None:
            raise ValueError("EARSHOT_PLAYBACK=proxied without EARSHOT_JWT_SECRET needs EARSHOT_PLAYBACK_SECRET")
        return self


@dataclass(frozen=True)
class Link:
    url: str
    expires_at: datetime


class Playback(Protocol):
    def link(self, message_id: str, rendition: StoredRendition) -> Link: ...


class PresignedPlayback:
    def __init__(self, store: ObjectStore, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        # A page of messages that is read again within the step is not signed again.
        self._sign = lru_cache(maxsize=4096)(store.presign_get)

    @property
    def origin(self) -> str:
        """Where all its URLs lead to."""
        return self._store.public_origin()

    def link(self, message_id: str, rendition: StoredRendition) -> Link:
        """An absolute URL at the object store's public address; raises StorageUnavailable without credentials."""
        expires_at = datetime.fromtimestamp(expiry(self._ttl_s), UTC)
        url = self._sign(rendition.object_key, expires_at=expires_at, content_type=rendition.mime_type)
        return Link(url, expires_at)


class ProxiedPlayback:
    """The signature covers message, format and expiry; whoever holds the URL may listen until then."""

    def __init__(self, public_url: str, secret: bytes, ttl_s: int) -> None:
        self._public_url = public_url.rstrip("/")
        self._secret = secret
        self._ttl_s = ttl_s
        self._link = lru_cache(maxsize=4096)(self._made)

    @property
    def origin(self) -> str:
        parts = urlsplit(self._public_url)
        return f"{parts.scheme}://{parts.netloc}"

    def link(self, message_id: str, rendition: StoredRendition) -> Link:
        return self._link(message_id, rendition.format, expiry(self._ttl_s))

    def _made(self, message_id: str, rendition_format: str, expires: int) -> Link:
        query = urlencode({"expires": expires, "signature": self._signature(message_id, rendition_format, expires)})
        path = f"/v1/playback/{message_id}/{rendition_format}.{_EXTENSIONS[rendition_format]}"
        return Link(f"{self._public_url}{path}?{query}", datetime.fromtimestamp(expires, UTC))

    def format_of(self, message_id: str, name: str, expires: int, signature: str) -> str | None:
        """The rendition's format when the link is ours and unchanged; its expiry is the caller's to judge."""
        wanted, _, extension = name.partition(".")
        if extension == "" or _EXTENSIONS.get(wanted) != extension:
            return None
        ours = self._signature(message_id, wanted, expires)
        return wanted if hmac.compare_digest(ours.encode(), signature.encode()) else None

    def _signature(self, message_id: str, rendition_format: str, expires: int) -> str:
        signed = f"{message_id}\n{rendition_format}\n{expires}".encode()
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_playback(settings: PlaybackSettings, store: ObjectStore) -> PresignedPlayback | ProxiedPlayback:
    if settings.playback == "presigned":
        return PresignedPlayback(store, settings.playback_ttl_s)
    return ProxiedPlayback(str(settings.public_url), _signing_key(settings), settings.playback_ttl_s)


def expiry(ttl_s: int) -> int:
    """Unix time at least `ttl_s` ahead."""
    return -(-(int(time.time()) + ttl_s) // STEP_S) * STEP_S


def _signing_key(settings: PlaybackSettings) -> bytes:
    if settings.playback_secret is not None:
        return settings.playback_secret.get_secret_value().encode()
    if settings.jwt_secret is None:
        raise ValueError("proxied playback has nothing to sign with")
    # The tokens' own secret never signs anything but tokens.
    return hmac.new(settings.jwt_secret.get_secret_value().encode(), b"earshot playback", hashlib.sha256).digest()
