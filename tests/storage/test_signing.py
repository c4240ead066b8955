"""Our signature is the library's, for everything that we sign."""

import hashlib
import re
import time
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from storage import signing

DIGEST = hashlib.sha256(b"body").hexdigest()


class Library(S3SigV4Auth):  # type: ignore[misc]
    def payload(self, request: Any) -> str:
        return DIGEST


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize("host", ["s3.example.org", "127.0.0.1:9000", "bucket.s3.eu-central-1.amazonaws.com"])
@pytest.mark.parametrize("path", ["/b/messages/msg_1/original/a.ogg", "/b/with%20space/%C3%A9~._-"])
def test_the_signature_is_the_librarys(path: str, host: str, token: str | None) -> None:
    credentials = ReadOnlyCredentials("AKID", "secret/key+", token)
    headers = {"content-length": "4", "content-type": "audio/ogg", "x-amz-checksum-sha256": "47DE=="}
    request = AWSRequest("PUT", f"https://{host}{path}", headers=dict(headers))
    Library(credentials, "s3", "eu-central-1").add_auth(request)
    ours = signing.signed_head(
        "PUT", host, path, headers, sha256=DIGEST, credentials=credentials, region="eu-central-1"
    ).decode()
    first, *lines = ours.split("\r\n")
    assert first == f"PUT {path} HTTP/1.1"
    assert lines[-2:] == ["", ""]
    sent = dict(line.split(": ", 1) for line in lines[:-2])
    assert sent.pop("host") == host
    assert sent == {name.lower(): value for name, value in request.headers.items()}


def test_each_day_has_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = ReadOnlyCredentials("AKID", "secret", None)
    signatures = set()
    for day in range(3):
        monkeypatch.undo()
        moment = time.gmtime(86_400 * day)
        monkeypatch.setattr(time, "gmtime", lambda *_, moment=moment: moment)
        head = signing.signed_head("GET", "h", "/k", {}, sha256=DIGEST, credentials=credentials, region="r").decode()
        assert f"1970010{day + 1}/r/s3/aws4_request" in head
        signatures.update(re.findall("Signature=([0-9a-f]{64})", head))
    assert len(signatures) == 3
