"""The short way of a PUT whose digest is known and of a GET of all of an object: signed and sent without the machinery
of the library's client.

That machinery costs more of the processor's time than all else an upload of usual size does. It is still there for all
that does not go well: what is not answered with 200 is asked again by it, with its retries and errors.
"""

import hashlib
import ssl
from functools import lru_cache
from urllib.parse import quote, urlsplit

from botocore.httpsession import get_cert_path

from storage.object_client import CONNECT_S, POOL, READ_S, ObjectClients
from storage.presign import base64_digest
from storage.signing import signed_head
from storage.wire import Answer, Body, Wire

_PLACEHOLDER = "key"
_NOTHING = hashlib.sha256().hexdigest()


class ShortRequests:
    """Safe to share between threads."""

    def __init__(self, clients: ObjectClients, region: str) -> None:
        self._clients = clients
        self._region = region
        self._reached = lru_cache(maxsize=4)(self._reach)

    def put(self, bucket: str, key: str, body: Body, *, size: int, content_type: str, sha256: str) -> bool:
        """Whether the object is there, durable. When not, a file stands anywhere."""
        headers = {
            "content-length": str(size),
            "content-type": content_type,
            "x-amz-checksum-sha256": base64_digest(sha256),
        }
        return self._answer("PUT", bucket, key, headers, sha256, body, size) is not None

    def get(self, bucket: str, key: str) -> bytes | None:
        """The object's bytes, as many as its answer says; None when that did not work."""
        answer = self._answer("GET", bucket, key, {}, _NOTHING)
        if answer is None or answer.headers.get("content-length") != str(len(answer.content)):
            return None
        return answer.content

    def _answer(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: dict[str, str],
        sha256: str,
        body: Body = b"",
        size: int = 0,
    ) -> Answer | None:
        wire, folder = self._reached(bucket)
        path, credentials = folder + quote(key, safe="/-_.~"), self._clients.credentials()
        head = signed_head(
            method, wire.host, path, headers, sha256=sha256, credentials=credentials, region=self._region
        )
        try:
            answer = wire.ask(head, body, size)
        except OSError:
            return None
        return answer if answer.status == 200 else None

    def _reach(self, bucket: str) -> tuple[Wire, str]:
        """Where the library would send requests for this bucket, and what their paths begin with."""
        params = {"Bucket": bucket, "Key": _PLACEHOLDER}
        url: str = self._clients.unsigned.generate_presigned_url("put_object", Params=params)
        folder = urlsplit(url).path.removesuffix(_PLACEHOLDER)
        return Wire(url, connect_s=CONNECT_S, read_s=READ_S, keep=POOL, tls=self._tls), folder

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._clients.ca_bundle() or get_cert_path(True))
