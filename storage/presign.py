"""URLs that let a client read or write one object without our credentials (AWS Signature Version 4, query string)."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

# A URL signed twice within a step is the same URL, so that browsers and CDNs can cache what it names.
STEP = timedelta(minutes=5)
LONGEST = timedelta(days=7)


class _DatedQueryAuth(S3SigV4QueryAuth):  # type: ignore[misc]
    """The library's signer, dated by the caller instead of by the clock."""

    def __init__(self, credentials: Any, region: str, signed_at: datetime, expires_at: datetime) -> None:
        lifetime = int((expires_at - signed_at).total_seconds())
        super().__init__(credentials, "s3", region, expires=lifetime)
        self._signed_at = signed_at.strftime(SIGV4_TIMESTAMP)

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self._signed_at
        super()._modify_request_before_signing(request)


def sign(
    method: str, url: str, headers: Mapping[str, str], *, credentials: Any, region: str, expires_at: datetime
) -> str:
    """`url` with a signature that S3 accepts until `expires_at`; each of `headers` must then be sent as it is here."""
    signed_at = step_before(datetime.now(UTC))
    if not timedelta(0) < expires_at - signed_at <= LONGEST:
        raise ValueError(f"a signed URL lives at most {LONGEST.days} days and can't expire in the past")
    request = AWSRequest(method, url, headers=dict(headers))
    _DatedQueryAuth(credentials, region, signed_at, expires_at).add_auth(request)
    return str(request.url)


def step_before(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)


def download_headers(content_type: str, filename: str | None) -> dict[str, str]:
    """Parameters of GetObject that fix what the answer says of itself, whatever the server remembers of the object."""
    wanted = {"ResponseContentType": content_type}
    if filename is not None:
        wanted["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    return wanted


def upload_headers(size: int, content_type: str, sha256: str | None) -> dict[str, str]:
    """Headers that a signed PUT binds its sender to."""
    headers = {"Content-Length": str(size), "Content-Type": content_type}
    if sha256 is not None:
        headers["x-amz-checksum-sha256"] = base64_digest(sha256)
    return headers


def base64_digest(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
