"""Keys are built in one place, and read back only when they were built there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.keys import ObjectKey, message_prefix, object_key, parse_key

SHA = "0123456789abcdef" * 4
WORDS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


def test_a_key_says_message_kind_and_content() -> None:
    assert object_key("messages", "msg_1", "original", SHA, "ogg") == f"messages/msg_1/original/{SHA}.ogg"


@given(
    prefix=st.lists(WORDS, min_size=1, max_size=3).map("/".join),
    message_id=WORDS,
    kind=WORDS,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    extension=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
)
def test_what_was_built_is_read_back(prefix: str, message_id: str, kind: str, sha256: str, extension: str) -> None:
    key = object_key(prefix, message_id, kind, sha256, extension)
    assert key.startswith(message_prefix(prefix, message_id))
    assert parse_key(prefix, key) == ObjectKey(message_id, kind, sha256, extension)


@given(st.text())
def test_other_keys_are_nobodys(text: str) -> None:
    assert parse_key("messages", text) is None
    found = parse_key("messages", f"messages/{text}")
    assert found is None or f"{found.message_id}/{found.kind}/{found.sha256}.{found.extension}" == text


@pytest.mark.parametrize(
    ("message_id", "kind", "sha256", "extension"),
    [
        ("../other", "original", SHA, "ogg"),
        ("", "original", SHA, "ogg"),
        ("msg_1", "a/b", SHA, "ogg"),
        ("msg_1", "original", SHA.upper(), "ogg"),
        ("msg_1", "original", SHA[:-1], "ogg"),
        ("msg_1", "original", SHA, "../x"),
        ("msg_1", "original", SHA, ""),
        ("msg_1\n", "original", SHA, "ogg"),
    ],
)
def test_no_key_leaves_its_message(message_id: str, kind: str, sha256: str, extension: str) -> None:
    with pytest.raises(ValueError, match="not"):
        object_key("messages", message_id, kind, sha256, extension)


def test_one_message_is_not_the_prefix_of_another() -> None:
    assert not message_prefix("messages", "msg_10").startswith(message_prefix("messages", "msg_1"))
