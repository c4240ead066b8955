"""Keys of objects: `<prefix>/<message_id>/<kind>/<sha256>.<extension>`, built and read nowhere else.

A key is immutable and belongs to one message, so a late writer overwrites nothing and deleting a message is deleting
its prefix.
"""

import re
from dataclasses import dataclass

_PART = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})\.(?P<extension>[a-z0-9]{1,8})")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    message_id: str
    kind: str
    sha256: str
    extension: str


def object_key(prefix: str, message_id: str, kind: str, sha256: str, extension: str) -> str:
    """The key of one object; `sha256` is 64 lower-case hex digits, `extension` has no dot. Otherwise ValueError."""
    name = f"{sha256}.{extension}"
    if not (_PART.fullmatch(kind) and _NAME.fullmatch(name)):
        raise ValueError(f"not the parts of an object key: {kind!r}, {name!r}")
    return f"{message_prefix(prefix, message_id)}{kind}/{name}"


def message_prefix(prefix: str, message_id: str) -> str:
    """What the keys of all objects of one message start with, and of no other message: it ends with a slash."""
    if not _PART.fullmatch(message_id):
        raise ValueError(f"not a message id: {message_id!r}")
    return f"{prefix}/{message_id}/"


def upload_key(prefix: str, upload_id: str) -> str:
    """Where a client puts what it uploads directly: beside the prefix of all messages, never under it."""
    if not _PART.fullmatch(upload_id):
        raise ValueError(f"not an upload id: {upload_id!r}")
    return f"{prefix}-uploads/{upload_id}"


def parse_key(prefix: str, key: str) -> ObjectKey | None:
    """The parts of a key that `object_key` made under this prefix; None for any other key."""
    if not key.startswith(f"{prefix}/"):
        return None
    match key.removeprefix(f"{prefix}/").split("/"):
        case [message_id, kind, name] if _PART.fullmatch(message_id) and _PART.fullmatch(kind):
            found = _NAME.fullmatch(name)
            return ObjectKey(message_id, kind, found["sha256"], found["extension"]) if found else None
    return None
