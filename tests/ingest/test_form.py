from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import Refused
from ingest.form import FileField, boundary_of

FILE = b"\r\n--b\r\n\r\n--boundary" + bytes(range(256)) * 3
FORM = (
    b'--boundary\r\nContent-Disposition: form-data; name="thread"\r\n\r\nsomething else\r\n'
    b'--boundary\r\ncontent-disposition: form-data; name="file"; filename="\xc3\xa4.m4a"\r\n'
    b"Content-Type: audio/mp4\r\n\r\n" + FILE.replace(b"\r\n--boundary", b"") + b"\r\n--boundary--\r\n"
)


@given(st.lists(st.integers(1, len(FORM) - 1), max_size=12))
def test_a_file_is_found_however_the_form_is_cut(cuts: list[int]) -> None:
    field, found = FileField(b"boundary"), b""
    edges = [0, *sorted(cuts), len(FORM)]
    for start, end in pairwise(edges):
        found += field.feed(FORM[start:end])
    field.finish()
    assert found == FILE.replace(b"\r\n--boundary", b"")


@pytest.mark.parametrize("end", range(0, len(FORM) - 4, 31))
def test_a_form_that_breaks_off_is_refused(end: int) -> None:
    field = FileField(b"boundary")
    field.feed(FORM[:end])
    with pytest.raises(Refused, match="ends before"):
        field.finish()


@given(st.binary(max_size=300))
def test_rubbish_is_refused_and_never_breaks_the_parser(rubbish: bytes) -> None:
    field = FileField(b"boundary")
    with pytest.raises(Refused) as refused:  # noqa: PT012
        field.feed(b"--boundary" + rubbish)
        field.finish()
    assert refused.value.code == "invalid_request"


def test_a_form_is_known_by_its_type() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    for other in ("", "audio/mp4", "multipart/mixed; boundary=abc", "multipart/form-data-x"):
        assert boundary_of(other) is None
    with pytest.raises(Refused, match="boundary"):
        boundary_of("multipart/form-data")
