"""How much one user may send. Counted in Postgres, so that it holds over all processes."""

import math
import time

from sqlalchemy import Connection

from ingest.errors import rate_limited
from ingest.settings import IngestSettings
from storage import usage
from storage.usage import Allowance

_HOUR_S = 3600
# Finishing or terminating an upload makes room for the next one at any time.
_OPEN_RETRY_S = 60


class Quota:
    """Every method raises Refused (`rate_limited`); none asks anything where limits are off."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings

    @property
    def counts(self) -> bool:
        return self._settings.rate_limits

    @property
    def allowance(self) -> Allowance | None:
        """What `foresee` judges by, for the statements that count a message as they make it."""
        return Allowance(self._settings.hourly_messages, self._settings.hourly_bytes) if self.counts else None

    def foresee(self, connection: Connection, user: str, size: int | None) -> None:
        """Before a body is read: whether a recording of so many bytes, where that is known, may come at all."""
        if self.counts:
            used = usage.current(connection, user)
            self._judge(used.messages + 1, used.bytes + (size or 0))

    def charge_open(self, connection: Connection, user: str, size: int) -> None:
        """Counts a message of this size that is yet to come, for the transaction that has just made its upload."""
        if not self.counts:
            return
        used = usage.add(connection, user, size)
        self._judge(used.messages, used.bytes)
        if usage.open_uploads(connection, user) > self._settings.open_uploads:
            raise rate_limited(
                f"you have {self._settings.open_uploads} unfinished uploads: finish one, or end a resumable one",
                _OPEN_RETRY_S,
            )

    def _judge(self, messages: int, size: int) -> None:
        if messages > self._settings.hourly_messages:
            raise rate_limited(f"at most {self._settings.hourly_messages} recordings in an hour", _rest_of_hour_s())
        if size > self._settings.hourly_bytes:
            raise rate_limited(f"at most {self._settings.hourly_bytes} bytes in an hour", _rest_of_hour_s())


def _rest_of_hour_s() -> int:
    return math.ceil(_HOUR_S - time.time() % _HOUR_S)
