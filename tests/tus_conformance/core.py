"""Section 1: the core protocol."""

from tests.tus_conformance.statement import statement
from tests.tus_conformance.target import VERSION, Target, recording

_GONE = (403, 404, 410)
_OLD = "0.2.2"


@statement("1.1")
def head_of_a_new_upload(target: Target) -> None:
    """HEAD tells Upload-Offset, which is 0 for a new upload."""
    answer = target.head(target.created(1000))
    assert answer.status in (200, 204)
    assert answer.offset == 0


@statement("1.2")
def head_tells_the_length(target: Target) -> None:
    """HEAD tells Upload-Length."""
    assert target.head(target.created(1234)).headers["upload-length"] == "1234"


@statement("1.3")
def head_is_not_cached(target: Target) -> None:
    """HEAD carries Cache-Control: no-store."""
    assert "no-store" in target.head(target.created(1000)).headers["cache-control"]


@statement("1.4")
def head_of_nothing(target: Target) -> None:
    """HEAD of an upload that does not exist is 403, 404 or 410, without Upload-Offset."""
    answer = target.head(target.endpoint.rstrip("/") + "/upl_does-not-exist")
    assert answer.status in _GONE
    assert "upload-offset" not in answer.headers


@statement("1.5")
def patch_moves_the_offset(target: Target) -> None:
    """PATCH adds bytes and answers 204 with the new Upload-Offset; HEAD agrees."""
    url, body = target.created(1000), recording(1000)
    answer = target.patch(url, 0, body[:300])
    assert (answer.status, answer.offset) == (204, 300)
    assert target.offset(url) == 300


@statement("1.6")
def patch_of_another_type(target: Target) -> None:
    """PATCH with another Content-Type is 415 and adds nothing."""
    url = target.created(1000)
    assert target.patch(url, 0, b"RIFF", {"Content-Type": "application/octet-stream"}).status == 415
    assert target.offset(url) == 0


@statement("1.7")
def patch_at_another_offset(target: Target) -> None:
    """PATCH at an offset that is not the upload's is 409 and adds nothing."""
    url, body = target.created(1000), recording(1000)
    target.patch(url, 0, body[:300])
    for offset in (0, 299, 301, 1000):
        assert target.patch(url, offset, body[300:400]).status == 409
    assert target.offset(url) == 300


@statement("1.8")
def patch_of_nothing(target: Target) -> None:
    """PATCH of an upload that does not exist is 403, 404 or 410."""
    assert target.patch(target.endpoint.rstrip("/") + "/upl_does-not-exist", 0, b"RIFF").status in _GONE


@statement("1.9")
def patch_without_a_number(target: Target) -> None:
    """PATCH whose Upload-Offset is missing or no number is 400 and adds nothing."""
    url = target.created(1000)
    for wrong in (None, "", "-1", "x", "1.5", "9" * 40):
        assert target.patch(url, 0, b"RIFF", {"Upload-Offset": wrong}).status == 400
    assert target.offset(url) == 0


@statement("1.10")
def options_describe(target: Target) -> None:
    """OPTIONS needs no Tus-Resumable and tells Tus-Version and Tus-Extension."""
    answer = target.request("OPTIONS", headers={"Tus-Resumable": None})
    assert answer.status in (200, 204)
    assert VERSION in answer.headers["tus-version"].split(",")
    assert "creation" in answer.headers["tus-extension"].split(",")


@statement("1.11")
def every_answer_names_the_version(target: Target) -> None:
    """Every answer, a refusal too, carries Tus-Resumable."""
    url = target.created(1000)
    for answer in (
        target.head(url),
        target.patch(url, 5, b"RIFF"),
        target.patch(url, 0, b"RIFF", {"Content-Type": "text/plain"}),
        target.create(10**12),
        target.head(url + "x"),
        target.request("DELETE", url),
    ):
        assert answer.headers.get("tus-resumable") == VERSION, answer


@statement("1.12")
def another_version(target: Target) -> None:
    """A version that the server does not speak is 412 with Tus-Version, and nothing happens."""
    url, other = target.created(1000), {"Tus-Resumable": _OLD}
    for answer in (
        target.create(1000, headers=other),
        target.patch(url, 0, b"RIFF", other),
        target.request("HEAD", url, headers=other),
        target.request("DELETE", url, headers=other),
    ):
        assert answer.status == 412
        assert VERSION in answer.headers["tus-version"]
    assert target.offset(url) == 0


@statement("1.13")
def the_method_in_a_header(target: Target) -> None:
    """X-HTTP-Method-Override stands for the method."""
    url, body = target.created(1000), recording(1000)
    chunk = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    answer = target.request("POST", url, body[:300], {**chunk, "X-HTTP-Method-Override": "PATCH"})
    assert (answer.status, answer.offset) == (204, 300)


@statement("1.14")
def more_than_was_announced(target: Target) -> None:
    """A PATCH that announces more bytes than the upload has room for is refused and adds nothing."""
    url = target.created(1000)
    assert 400 <= target.patch(url, 0, recording(1002)).status < 500
    assert target.offset(url) == 0


@statement("1.15")
def in_odd_pieces(target: Target) -> None:
    """An upload in pieces of odd sizes is complete and keeps every byte."""
    body = recording(200_000)
    url, offset = target.created(len(body)), 0
    for size in (1, 43, 4096, 65_535, 65_537, len(body)):
        answer = target.patch(url, offset, body[offset : offset + size])
        assert answer.status == 204
        offset = answer.offset
    assert offset == len(body)
    target.keeps(answer, body)


@statement("1.16")
def an_empty_patch(target: Target) -> None:
    """A PATCH without bytes is no error and moves nothing, and the upload goes on behind it."""
    url, body = target.created(1000), recording(1000)
    for offset in (0, 300):
        for _ in range(2):
            answer = target.patch(url, offset, b"")
            assert (answer.status, answer.offset) == (204, offset)
        offset = target.patch(url, offset, body[offset : offset + 300]).offset
    answer = target.patch(url, offset, body[offset:])
    assert (answer.status, answer.offset) == (204, 1000)
    target.keeps(answer, body)
