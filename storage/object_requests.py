"""The short way of a PUT whose digest is known and of a GET of all of an object: signed and sent without the machinery
of the library's client.

That machinery costs about a third of the processor time of an upload of usual size, and half of a GET's. It is still
there for all that does not go well: what is not answered with 200 is asked again by it, with its retries and errors.
"""

import hashlib
import socket
from functools import lru_cache
from typing import BinaryIO
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from storage.object_client import CONNECT_S, POOL, READ_S, ObjectClients
from storage.presign import base64_digest

_PLACEHOLDER = "key"
# Head and body are sent one after the other: without this the end of a body may wait 40 ms for a delayed ACK.
_AT_ONCE = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
_NOTHING = hashlib.sha256().hexdigest()


class _KnownDigest(S3SigV4Auth):  # type: ignore[misc]
    """The library's signer, told the body's digest instead of reading the body for it."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])


class ShortRequests:
    """Safe to share between threads."""

    def __init__(self, clients: ObjectClients, region: str) -> None:
        self._clients = clients
        self._region = region
        self._bucket_url = lru_cache(maxsize=4)(self._make_bucket_url)
        self._http = URLLib3Session(timeout=(CONNECT_S, READ_S), max_pool_connections=POOL, socket_options=_AT_ONCE)

    def put(self, bucket: str, key: str, body: BinaryIO | bytes, *, size: int, content_type: str, sha256: str) -> bool:
        """Whether the object is there, durable. When not, a file stands anywhere."""
        headers = {
            "Content-Length": str(size),
            "Content-Type": content_type,
            "x-amz-checksum-sha256": base64_digest(sha256),
        }
        request = AWSRequest("PUT", self._url(bucket, key), headers=headers, data=body)
        return self._answer(request, sha256) is not None

    def get(self, bucket: str, key: str) -> bytes | None:
        """The object's bytes, as many as its answer says; None when that did not work."""
        answer = self._answer(AWSRequest("GET", self._url(bucket, key)), _NOTHING)
        if answer is None or answer.headers.get("Content-Length") != str(len(answer.content)):
            return None
        return bytes(answer.content)

    def _answer(self, request: AWSRequest, sha256: str) -> AWSResponse | None:
        request.context["sha256"] = sha256
        try:
            _KnownDigest(self._clients.credentials(), "s3", self._region).add_auth(request)
            answer = self._http.send(request.prepare())
        except BotoCoreError:
            return None
        return answer if answer.status_code == 200 else None

    def _url(self, bucket: str, key: str) -> str:
        return self._bucket_url(bucket) + quote(key, safe="/-_.~")

    def _make_bucket_url(self, bucket: str) -> str:
        """As the library addresses it, with a slash at the end."""
        params = {"Bucket": bucket, "Key": _PLACEHOLDER}
        url: str = self._clients.unsigned.generate_presigned_url("put_object", Params=params)
        return url.partition("?")[0].removesuffix(_PLACEHOLDER)
