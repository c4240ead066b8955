"""Folders of messages to come: each is declared before its original is put, several at a time while many come.

To declare each by itself is a third of what an upload costs the database, and a wait for its disk.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from storage import intents
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.ids import new_id
from storage.keys import original_folder

# Longer than every try of a PUT together; then the sweep may delete what nobody refers to.
INTENT_TTL_S = 900
# One that has waited longer is not used any more: an id says when its message was made.
_GOOD_S = 2.0
_MOST = 16


@dataclass(frozen=True)
class Folder:
    """`key` is the declared intent: the prefix of the one object that is going to be put."""

    message_id: str
    key: str


class Folders:
    """Safe to share between threads."""

    def __init__(self, database: Database, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._prefix = prefix
        self._clock = clock
        self._lock = Lock()
        self._waiting: deque[Folder] = deque()
        self._declared_at = float("-inf")
        self._many = 1

    def take(self) -> Folder:
        """One that is declared, for the caller alone; raises StorageUnavailable and StorageFull."""
        return self._waiting_one() or self._fresh_one()

    def close(self) -> None:
        """Takes back what nobody took: else the sweep would look into each."""
        with suppress(StorageUnavailable, StorageFull), self._lock:
            self._take_back()

    def _waiting_one(self) -> Folder | None:
        with suppress(IndexError):
            return self._waiting.popleft() if self._is_recent() else None
        return None

    def _is_recent(self) -> bool:
        return self._clock() < self._declared_at + _GOOD_S

    def _fresh_one(self) -> Folder:
        if not self._lock.acquire(blocking=False):
            # Not to wait for another's wait.
            return self._declared(1)[0]
        try:
            return self._waiting_one() or self._one_of_many()
        finally:
            self._lock.release()

    def _one_of_many(self) -> Folder:
        """Twice as many as the last time where those did not last, and one where they did."""
        self._take_back()
        self._many = min(2 * self._many, _MOST) if self._is_recent() else 1
        mine, *others = self._declared(self._many)
        self._declared_at = self._clock()
        self._waiting.extend(others)
        return mine

    def _take_back(self) -> None:
        left = []
        with suppress(IndexError):
            while True:
                left.append(self._waiting.popleft().key)
        if left:
            with self._database.writing() as connection:
                intents.forget(connection, left)

    def _declared(self, many: int) -> list[Folder]:
        ids = [new_id("msg") for _ in range(many)]
        made = [Folder(each, original_folder(self._prefix, each)) for each in ids]
        with self._database.driver() as session:
            intents.declare_all(session, {each.key: each.message_id for each in made}, ttl_s=INTENT_TTL_S)
        return made
