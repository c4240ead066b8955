"""The short way of a PUT whose digest is known and of a GET of all of an object: signed and sent without the machinery
of the library's client.

That machinery costs more of the processor's time than all else an upload of usual size does. It is still there for all
that does not go well: what is not answered with 200 is asked again by it, with its retries and errors.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote, urlsplit

from botocore.httpsession import get_cert_path

from storage.exchange import Exchange
from storage.object_client import CONNECT_S, POOL, READ_S, ObjectClients
from storage.presign import base64_digest
from storage.signing import signed_head
from storage.wire import Answer, Body, Origin, Wire

_PLACEHOLDER = "key"
_NOTHING = hashlib.sha256().hexdigest()


class ShortRequests:
    """Safe to share between threads; `put_soon` is for one event loop."""

    def __init__(self, clients: ObjectClients, region: str) -> None:
        self._clients = clients
        self._region = region
        self._reached: dict[str, _Reached] = {}

    def put(self, bucket: str, key: str, body: Body, *, size: int, content_type: str, sha256: str) -> bool:
        """Whether the object is there, durable. When not, a file stands anywhere."""
        reached = self._reach(bucket)
        head = self._put_head(reached, key, size, content_type, sha256, self._clients.credentials())
        return _asked(reached.wire, head, body, size) is not None

    async def put_soon(
        self, bucket: str, key: str, body: Sequence[bytes], *, size: int, content_type: str, sha256: str
    ) -> bool:
        """`put` without a thread. What is asked of threads is what may wait: the first time, or for credentials."""
        reached = self._reached[bucket] if bucket in self._reached else await asyncio.to_thread(self._reach, bucket)
        credentials = self._clients.credentials_at_hand() or await asyncio.to_thread(self._clients.credentials)
        head = self._put_head(reached, key, size, content_type, sha256, credentials)
        try:
            answer = await reached.exchange.ask(head, body)
        except OSError:
            return False
        return answer.status == 200

    def get(self, bucket: str, key: str) -> bytes | None:
        """The object's bytes, as many as its answer says; None when that did not work."""
        reached = self._reach(bucket)
        answer = _asked(reached.wire, self._head("GET", reached, key, {}, _NOTHING, self._clients.credentials()))
        if answer is None or answer.headers.get(b"content-length") != b"%d" % len(answer.content):
            return None
        return answer.content

    def close(self) -> None:
        """Of the event loop's connections."""
        for reached in self._reached.values():
            reached.exchange.close()

    def _put_head(
        self, reached: "_Reached", key: str, size: int, content_type: str, sha256: str, credentials: Any
    ) -> bytes:
        headers = {
            "content-length": str(size),
            "content-type": content_type,
            "x-amz-checksum-sha256": base64_digest(sha256),
        }
        return self._head("PUT", reached, key, headers, sha256, credentials)

    def _head(
        self, method: str, reached: "_Reached", key: str, headers: dict[str, str], sha256: str, credentials: Any
    ) -> bytes:
        path = reached.folder + quote(key, safe="/-_.~")
        return signed_head(
            method, reached.origin.host, path, headers, sha256=sha256, credentials=credentials, region=self._region
        )

    def _reach(self, bucket: str) -> "_Reached":
        """Where the library would send requests for this bucket."""
        if bucket not in self._reached:
            params = {"Bucket": bucket, "Key": _PLACEHOLDER}
            url: str = self._clients.unsigned.generate_presigned_url("put_object", Params=params)
            tls = lru_cache(lambda: ssl.create_default_context(cafile=self._clients.ca_bundle() or get_cert_path(True)))
            self._reached.setdefault(bucket, _Reached.at(url, tls))
        return self._reached[bucket]


@dataclass(frozen=True)
class _Reached:
    """`folder` is what the paths of a bucket's objects begin with, quoted."""

    origin: Origin
    folder: str
    wire: Wire
    exchange: Exchange

    @classmethod
    def at(cls, url: str, tls: Callable[[], ssl.SSLContext]) -> Self:
        origin, folder = Origin.of(url), urlsplit(url).path.removesuffix(_PLACEHOLDER)
        wire = Wire(origin, connect_s=CONNECT_S, read_s=READ_S, keep=POOL, tls=tls)
        return cls(origin, folder, wire, Exchange(origin, connect_s=CONNECT_S, answer_s=READ_S, most=POOL, tls=tls))


def _asked(wire: Wire, head: bytes, body: Body = b"", size: int = 0) -> Answer | None:
    try:
        answer = wire.ask(head, body, size)
    except OSError:
        return None
    return answer if answer.status == 200 else None
