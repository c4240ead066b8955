"""How boto3 is set up, and how its errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from storage.errors import ObjectMissing, StorageFull, StorageUnavailable
from storage.settings import StorageSettings

CONNECT_S = 3.0
READ_S = 10.0
POOL = 64
_TRIES = 3
# Sessions are not safe in threads; the clients they make are.
_MAKING = Lock()
_FULL = {"507", "InsufficientStorage", "InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull"}


class ObjectClients:
    """boto3 clients of one bucket's settings, each made at first use."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._credentials: Any = None
        self.probe = lru_cache(maxsize=4)(self._probe)

    @cached_property
    def main(self) -> Any:
        return self._client(self._settings.s3_endpoint_url, self._config())

    @cached_property
    def unsigned(self) -> Any:
        """Only ever writes URLs; signs nothing itself."""
        return self._client(self._settings.s3_endpoint_url, self._config(signature_version=UNSIGNED))

    @cached_property
    def public(self) -> Any:
        """As `unsigned`, for the endpoint that clients reach."""
        endpoint = self._settings.s3_public_url or self._settings.s3_endpoint_url
        return self._client(endpoint, self._config(signature_version=UNSIGNED))

    def credentials(self) -> Any:
        """Frozen; may have to be asked for in the network first."""
        self._credentials = self._session().get_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        return self._credentials.get_frozen_credentials()

    def credentials_at_hand(self) -> Any:
        """None where `credentials` may wait: at first, and before they run out."""
        found = self._credentials
        is_due = found is None or (hasattr(found, "refresh_needed") and found.refresh_needed())
        return None if is_due else found.get_frozen_credentials()

    def ca_bundle(self) -> str | None:
        """The file of certificates to believe in place of the library's, where the environment names one."""
        found: str | None = self._session()._session.get_config_variable("ca_bundle")
        return found

    def _probe(self, timeout: float) -> Any:
        config = self._config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1})
        return self._client(self._settings.s3_endpoint_url, config)

    def _client(self, endpoint: str | None, config: Config) -> Any:
        session = self._session()
        with _MAKING:
            return session.client("s3", endpoint_url=endpoint, config=config)

    def _session(self) -> Any:
        own = self._settings
        secret, token = own.s3_secret_key, own.s3_session_token
        return _session(
            own.s3_access_key,
            secret and secret.get_secret_value(),
            token and token.get_secret_value(),
            own.s3_region,
        )

    def _config(self, **changes: Any) -> Config:
        chosen = self._settings.s3_addressing
        if chosen == "auto":
            chosen = "path" if self._settings.s3_endpoint_url else "virtual"
        base = Config(
            signature_version="s3v4",
            s3={"addressing_style": chosen},
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            max_pool_connections=POOL,
            # Most servers that are not AWS refuse the library's trailing checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return base.merge(Config(**changes))


@lru_cache(maxsize=8)
def _session(access_key: str | None, secret_key: str | None, token: str | None, region: str) -> Any:
    """Shared by all stores with these credentials: a session reads S3's description, 150 ms of it, once."""
    with _MAKING:
        return boto3.session.Session(access_key, secret_key, token, region_name=region)


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Raises our errors for the library's."""
    try:
        yield
    except ParamValidationError:
        raise
    except ClientError as error:
        raise _translation(error, key) from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"S3 can't be reached: {error}") from error


def _translation(error: ClientError, key: str) -> Exception:
    code, message = code_of(error), str(error)
    if code == "NoSuchKey":
        return ObjectMissing(key)
    if code in ("InvalidRange", "416"):
        return ValueError(f"the range is not inside {key}")
    if code in _FULL or "no space left on device" in message.lower():
        return StorageFull(message)
    return StorageUnavailable(message)


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
