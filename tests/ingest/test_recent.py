"""What was just written need not be read again, as long as there is memory for it."""

from datetime import UTC, datetime

import pytest

from ingest import recent
from ingest.recent import Recent
from storage.uploads import StoredUpload


def upload(name: str, length: int) -> StoredUpload:
    nothing = dict.fromkeys(("language", "external_id", "metadata", "content_type", "sha256", "message_id"))
    return StoredUpload(
        id=name,
        user_id="alice",
        method="tus",
        thread_id="thr",
        length=length,
        received=0,
        state="open",
        error_code=None,
        error_message=None,
        holder=None,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        expired=False,
        **nothing,
    )


def test_pieces_in_a_row_are_given_back_once() -> None:
    kept, one = Recent(), upload("one", 6)
    kept.add(one, 0, b"abc")
    kept.add(one, 3, b"")
    kept.add(one, 3, b"def")
    assert b"".join(kept.take("one", 6) or []) == b"abcdef"
    assert kept.take("one", 6) is None


@pytest.mark.parametrize("pieces", [[(3, b"def")], [(0, b"abc")], [(0, b"abc"), (4, b"ef")], []])
def test_with_a_gap_there_is_nothing(pieces: list[tuple[int, bytes]]) -> None:
    kept, one = Recent(), upload("one", 6)
    for offset, piece in pieces:
        kept.add(one, offset, piece)
    assert kept.take("one", 6) is None


def test_the_last_piece_completes_its_senders_upload_once() -> None:
    kept, one = Recent(), upload("one", 6)
    kept.add(one, 0, b"abc")
    for who, offset, piece in (("bob", 3, b"def"), ("alice", 0, b"abcdef"), ("alice", 3, b"de"), ("alice", 3, b"defg")):
        assert kept.completed("one", who, offset, piece) is None
    found = kept.completed("one", "alice", 3, b"def")
    assert found is not None
    assert (found[0], b"".join(found[1])) == (one, b"abcdef")
    assert kept.completed("one", "alice", 3, b"def") is None


def test_one_piece_may_be_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recent()
    kept.add(upload("begun", 3), 0, b"")
    assert kept.completed("begun", "alice", 0, b"") is None
    assert kept.completed("begun", "alice", 0, b"abc") == (upload("begun", 3), [b"", b"abc"])
    monkeypatch.setattr(recent, "_MOST_UPLOADS", 0)
    kept.add(upload("too many", 3), 0, b"")
    assert kept.completed("too many", "alice", 0, b"abc") is None


def test_what_was_ended_or_is_late_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept = Recent()
    for name in ("ended", "late", "touched"):
        kept.add(upload(name, 6), 0, b"abc")
    kept.forget("ended")
    assert kept.take("ended", 3) is None
    now[0] += 4
    kept.add(upload("touched", 6), 3, b"def")
    now[0] += 4
    kept.add(upload("new", 6), 0, b"abc")
    assert kept.take("late", 3) is None
    assert b"".join(kept.take("touched", 6) or []) == b"abcdef"


def test_it_has_a_bound_and_makes_room_for_what_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_BUDGET_BYTES", 10)
    monkeypatch.setattr(recent, "_LONGEST_BYTES", 8)
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept = Recent()
    kept.add(upload("long", 9), 0, b"123456789")
    assert kept.take("long", 9) is None
    kept.add(upload("first", 8), 0, b"12345678")
    kept.add(upload("second", 3), 0, b"abc")
    assert kept.take("second", 3) is None
    now[0] += 60
    kept.add(upload("third", 3), 0, b"abc")
    assert kept.take("third", 3) == [b"abc"]
    assert kept.take("first", 8) is None
    kept.add(upload("fourth", 8), 0, b"12345678")
    assert kept.take("fourth", 8) == [b"12345678"]
