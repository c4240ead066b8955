"""Sections 2 to 6: creation, creation with upload, checksum, expiration and termination."""

import base64
import hashlib
from email.utils import parsedate_to_datetime

from tests.tus_conformance.statement import statement
from tests.tus_conformance.target import CHUNK, NotApplicable, Target, recording

_GONE = (403, 404, 410)


@statement("2.1")
def creation(target: Target) -> None:
    """POST with Upload-Length is 201 with the Location of an empty upload."""
    answer = target.create(1000)
    assert answer.status == 201
    assert target.offset(target.located(answer)) == 0


@statement("2.2")
def creation_without_length(target: Target) -> None:
    """POST whose Upload-Length is missing or no number is 400."""
    for wrong in (None, "", "-1", "many", "1e3"):
        assert target.create(0, headers={"Upload-Length": wrong}).status == 400


@statement("2.3")
def creation_of_too_much(target: Target) -> None:
    """POST with a length above Tus-Max-Size is 413."""
    limit = target.request("OPTIONS").headers.get("tus-max-size")
    if limit is None:
        raise NotApplicable("the server names no Tus-Max-Size")
    assert target.create(int(limit) + 1).status == 413


@statement("2.4")
def metadata_comes_back(target: Target) -> None:
    """HEAD gives Upload-Metadata as the client sent it."""
    answer = target.head(target.created(1000))
    sent, got = target.encoded_metadata().split(","), answer.headers["upload-metadata"].split(",")
    assert sorted(pair.strip() for pair in got) == sorted(sent)


@statement("2.5")
def metadata_that_is_none(target: Target) -> None:
    """Upload-Metadata that is no list of keys and Base64 is 400."""
    metadata = target.encoded_metadata()
    for wrong in (metadata + ",note %%%", metadata + ",filename " + base64.b64encode(b"twice").decode()):
        assert target.create(1000, headers={"Upload-Metadata": wrong}).status == 400


@statement("3.1")
def creation_with_the_first_bytes(target: Target) -> None:
    """POST with bytes takes them and tells the Upload-Offset behind them."""
    body = recording(1000)
    answer = target.create(1000, body[:300], CHUNK)
    assert (answer.status, answer.offset) == (201, 300)
    assert target.patch(target.located(answer), 300, body[300:]).status == 204


@statement("3.2")
def creation_with_all_bytes(target: Target) -> None:
    """POST with all bytes makes a complete upload."""
    answer = target.create(1000, recording(1000), CHUNK)
    assert (answer.status, answer.offset) == (201, 1000)


@statement("3.3")
def creation_with_bytes_of_another_type(target: Target) -> None:
    """POST with bytes of another Content-Type is 415."""
    assert target.create(1000, recording(1000), {"Content-Type": "text/plain"}).status == 415


@statement("3.4")
def creation_with_too_many_bytes(target: Target) -> None:
    """POST with more bytes than it announces is refused."""
    assert 400 <= target.create(1000, recording(2000), CHUNK).status < 500


@statement("4.1")
def checksum_algorithms(target: Target) -> None:
    """Tus-Checksum-Algorithm lists sha1."""
    assert "sha1" in _algorithms(target)


@statement("4.2")
def right_checksums(target: Target) -> None:
    """Bytes with the right checksum are taken, for each algorithm that is listed."""
    body = recording(1000)
    for algorithm in _algorithms(target):
        url = target.created(1000)
        answer = target.patch(url, 0, body[:300], _checksum(algorithm, body[:300]))
        assert (answer.status, answer.offset) == (204, 300), algorithm


@statement("4.3")
def wrong_checksums(target: Target) -> None:
    """Bytes with a wrong checksum are 460 and not added; the same place takes the right ones."""
    url, body = target.created(1000), recording(1000)
    assert target.patch(url, 0, body[:300], _checksum("sha1", body[:299])).status == 460
    assert target.offset(url) == 0
    assert target.patch(url, 0, body, _checksum("sha1", body)).status == 204


@statement("4.4")
def checksums_of_unknown_kind(target: Target) -> None:
    """A checksum that is not understood is 400 and adds nothing."""
    url = target.created(1000)
    for wrong in ("crc7 AAAA", "sha1", "sha1 %%%", "sha1 AAAA", ""):
        assert target.patch(url, 0, b"RIFF", {"Upload-Checksum": wrong}).status == 400
    assert target.offset(url) == 0


@statement("4.5")
def large_checked_bytes(target: Target) -> None:
    """A checksum over much is right or wrong as a whole, and all of what was right is kept."""
    for size in (262_146, 900_000, 3_000_000):
        _checked_as_a_whole(target, recording(size))


def _checked_as_a_whole(target: Target, body: bytes) -> None:
    url = target.created(len(body))
    assert target.patch(url, 0, body, _checksum("sha1", body[:-1])).status == 460
    assert target.offset(url) == 0
    answer = target.patch(url, 0, body, _checksum("sha1", body))
    assert (answer.status, answer.offset) == (204, len(body))
    target.keeps(answer, body)


@statement("4.6")
def checked_creation(target: Target) -> None:
    """Bytes that come with the creation are checked, too."""
    body = recording(1000)
    assert target.create(1000, body, {**CHUNK, **_checksum("sha1", b"other")}).status == 460
    assert target.create(1000, body, {**CHUNK, **_checksum("sha1", body)}).status == 201


@statement("5.1")
def expiration(target: Target) -> None:
    """Upload-Expires of an unfinished upload is a date in the future."""
    if "expiration" not in target.request("OPTIONS").headers["tus-extension"]:
        raise NotApplicable("the server does not speak of expiration")
    created = target.create(1000)
    patched = target.patch(target.located(created), 0, recording(1000)[:300])
    for answer in (created, patched, target.head(target.located(created))):
        assert parsedate_to_datetime(answer.headers["upload-expires"]).timestamp() > 0


@statement("6.1")
def termination(target: Target) -> None:
    """DELETE is 204; then the upload is 403, 404 or 410 for HEAD, PATCH and DELETE."""
    url = target.created(1000)
    target.patch(url, 0, recording(1000)[:300])
    assert target.request("DELETE", url).status == 204
    for answer in (target.head(url), target.patch(url, 300, b"x"), target.request("DELETE", url)):
        assert answer.status in _GONE


def _algorithms(target: Target) -> list[str]:
    listed = target.request("OPTIONS").headers.get("tus-checksum-algorithm")
    if listed is None:
        raise NotApplicable("the server does not speak of checksums")
    return listed.split(",")


def _checksum(algorithm: str, body: bytes) -> dict[str, str]:
    digest = hashlib.new(algorithm, body).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}
