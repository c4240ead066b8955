"""Upload-Checksum: what a client says of the bytes of one request."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from ingest.errors import Refused

ALGORITHMS = ("sha1", "sha256", "md5")


@dataclass(frozen=True)
class Checksum:
    algorithm: str
    digest: bytes

    def hasher(self) -> "hashlib._Hash":
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def compare(self, hasher: "hashlib._Hash") -> None:
        """Raises Refused (`checksum_mismatch`)."""
        if hasher.digest() != self.digest:
            raise Refused("checksum_mismatch", "these bytes do not match their checksum: send them again")


def parse_checksum(header: str) -> Checksum:
    """`sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`; raises ValueError."""
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"the algorithms are {', '.join(ALGORITHMS)}")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("the digest is not Base64") from error
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise ValueError(f"the digest has not the length of {algorithm}")
    return Checksum(algorithm, digest)
