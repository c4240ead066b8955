"""What somebody is doing right now: told to who listens, stored nowhere."""

import time
from collections import OrderedDict
from math import ceil
from threading import Lock

from fastapi import APIRouter, Response

from api.answers import answers, nothing
from api.auth import ActingUser
from api.errors import Problem
from api.hub import SIGNALS
from api.models import Signal
from api.services import Here
from api.threads import require_member
from storage import bell

router = APIRouter(prefix="/v1/threads", tags=["events"])
# A client repeats a signal every few seconds while it lasts.
BURST = 10
EVERY_S = 1.0
_REMEMBERED = 10_000


class Pace:
    """Up to BURST at once and one every EVERY_S in the long run, each by this process's own count."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """0 when this one is allowed, else in how many seconds the next will be."""
        now = time.monotonic()
        with self._lock:
            due = max(self._due.pop(who, now), now) + EVERY_S
            over = due - now - BURST * EVERY_S
            self._due[who] = due if over <= 0 else due - EVERY_S
            if len(self._due) > _REMEMBERED:
                self._due.popitem(last=False)
        return max(0.0, over)


_pace = Pace()


@router.post("/{thread_id}/signals", status_code=204, responses=answers("rate_limited", "too_large"))
def signal(thread_id: str, body: Signal, here: Here, user: ActingUser) -> Response:
    """The others in the thread hear an event `typing` or `recording`."""
    if here.ingest.rate_limits and (wait_s := _pace.wait_s(user)):
        raise Problem(
            "rate_limited", "a signal every few seconds is enough", headers={"Retry-After": str(ceil(wait_s))}
        )
    with here.database.transaction() as connection:
        require_member(connection, thread_id, user)
        bell.tell(connection, SIGNALS, thread_id=thread_id, user_id=user, kind=body.kind)
    return nothing()
