"""Clients that send as fast as they are answered, over connections that stay open."""

import base64
import hashlib
import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks._upload_servers import Servers
from storage.ids import new_id
from storage.keys import object_key

Send = Callable[[http.client.HTTPConnection], None]
VERSION = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True)
class Load:
    """Answers of one round: how many in a second, and the latency (seconds) that 95 % of them kept."""

    rate: float
    p95_s: float


def pressed(url: str, sends: list[Send], clients: int) -> Load:
    """Each of `sends` once, taken in turn by so many clients."""
    left, taken, lock = iter(sends), [], threading.Lock()
    begin = threading.Barrier(clients + 1)

    def client() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        connection.connect()
        begin.wait()
        while True:
            with lock:
                send = next(left, None)
            if send is None:
                break
            began = time.perf_counter()
            send(connection)
            taken.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return Load(len(sends) / (time.perf_counter() - began), sorted(taken)[int(len(taken) * 0.95)])


def straight(servers: Servers, body: bytes) -> Send:
    """The PUT that the API makes, under a key of the same shape (folders, on this server), signed beforehand."""
    digest = hashlib.sha256(body)
    key = object_key("straight", new_id("msg"), "original", digest.hexdigest(), "wav")
    url = f"{servers.s3.endpoint_url}/{servers.bucket}/{key}"
    headers = {
        "Content-Type": "audio/wav",
        "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
        "X-Amz-Content-SHA256": digest.hexdigest(),
    }
    request = AWSRequest("PUT", url, headers=headers, data=body)
    S3SigV4Auth(Credentials(servers.s3.access_key, servers.s3.secret_key), "s3", "us-east-1").add_auth(request)
    path, sent = urlsplit(url).path, dict(request.headers.items())
    return lambda connection: _asked(connection, "PUT", path, body, sent, 200)


def single(thread: str, authorization: dict[str, str], body: bytes) -> Send:
    path = f"/v1/threads/{thread}/voice-messages"
    return lambda connection: _asked(connection, "POST", path, body, authorization, 201)


def relayed(body: bytes) -> Send:
    return lambda connection: _asked(connection, "POST", "/relay", body, {}, 201)


def resumable(thread: str, authorization: dict[str, str], body: bytes, chunk: int) -> Send:
    """A creation and as many PATCHes as it takes."""
    metadata = f"thread_id {base64.b64encode(thread.encode()).decode()}"
    creation = {**authorization, **VERSION, "Upload-Length": str(len(body)), "Upload-Metadata": metadata}

    def send(connection: http.client.HTTPConnection) -> None:
        path = _asked(connection, "POST", "/v1/uploads", b"", creation, 201)["location"]
        for start in range(0, len(body), chunk):
            headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start)}
            piece = body[start : start + chunk]
            _asked(connection, "PATCH", path, piece, {**authorization, **VERSION, **headers}, 204)

    return send


def _asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    expected: int,
) -> dict[str, str]:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != expected:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
    return {name.lower(): value for name, value in answer.getheaders()}
