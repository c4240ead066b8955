"""What is known of a recording before it is a message, and the two statements on its way there."""

import hashlib
import json
from dataclasses import dataclass

from ingest.errors import Refused
from storage import arrivals, messages
from storage.driver import Query
from storage.idempotency import Claim, Once
from storage.usage import Allowance
from transcode import Container, sniff

# Longer than every try of a PUT together; then the sweep may delete what nobody refers to.
INTENT_TTL_S = 900


@dataclass(frozen=True)
class Upload:
    """What goes with the bytes; `claim` is of the request's Idempotency-Key, if it carries one."""

    thread_id: str
    sender: str
    language: str | None
    external_id: str | None
    claim: Claim | None = None

    def fingerprint(self, sha256: str) -> str:
        """Of all that its key stands for; `sha256` is the recording's."""
        return hashlib.sha256(json.dumps([sha256, self.language, self.external_id]).encode()).hexdigest()

    def once(self, sha256: str) -> Once | None:
        """What is written with its message."""
        return None if self.claim is None else Once(self.claim, self.fingerprint(sha256))


@dataclass(frozen=True)
class Named:
    """A recording under the id of the message that is to be made of it."""

    message_id: str
    original: messages.Original
    content_type: str


def expectation(upload: Upload, named: Named, allowance: Allowance | None = None) -> Query[bool]:
    key, size = named.original.object_key, named.original.size
    return arrivals.expectation(
        named.message_id, key, size, upload.thread_id, upload.sender, ttl_s=INTENT_TTL_S, allowance=allowance
    )


def arrival(
    upload: Upload,
    message_id: str,
    original: messages.Original,
    allowance: Allowance | None = None,
    *,
    reserved: bool = False,
    once: Once | None = None,
) -> Query[messages.Message | None]:
    return arrivals.arrival(
        message_id,
        upload.thread_id,
        upload.sender,
        original,
        language=upload.language,
        external_id=upload.external_id,
        allowance=allowance,
        reserved=reserved,
        once=once,
    )


def sniffed(head: bytes) -> Container:
    """Raises Refused when no recording begins like this."""
    container = sniff(head)
    if container is None:
        raise Refused("unsupported_format", "no audio container known to us begins like this file")
    return container
