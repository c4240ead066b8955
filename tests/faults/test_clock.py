"""The clock of one worker steps by an hour while it works: the database's clock decides about leases, and no other."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import Table, check, settle
from tests.faults.load import Load
from tests.faults.scale import SEED, share
from tests.faults.test_stalled_worker import colleague
from tests.faults.world import World
from tests.stack import wait_until

# Python runs this first in the process whose clock steps: by as many seconds as the file says, as soon as it is there.
SHIM = """
import datetime, os, time

_file, _time, _now = os.environ["CLOCK_STEP_FILE"], time.time, datetime.datetime.now

def _step():
    try:
        with open(_file) as file:
            return float(file.read() or 0)
    except OSError:
        return 0.0

class _Kind(type):
    def __instancecheck__(cls, it):
        return isinstance(it, _Kind.real)

_Kind.real = datetime.datetime

class _Stepped(datetime.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return _now(tz) + datetime.timedelta(seconds=_step())

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)

time.time = lambda: _time() + _step()
time.time_ns = lambda: int(time.time() * 1e9)
datetime.datetime = _Stepped
"""


@pytest.mark.fault(12)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_step_of_the_clock(world: World, step_s: int, tmp_path: Path, tell: Callable[[Table], Table]) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHIM)
    clock, log = tmp_path / "step", tmp_path / "stepping.log"
    # A lease of minutes, less than the step: it runs out for no other reason.
    stepping = {"PYTHONPATH": str(tmp_path), "CLOCK_STEP_FILE": str(clock), "EARSHOT_LEASE_S": "300"}
    with colleague(world, "media,speech", log, **stepping) as process:
        wait_until(lambda: "ready." in log.read_text(), process)
        load = Load(world, max(9, share(2)), over_s=4, seed=SEED + 70)
        time.sleep(1)
        clock.write_text(str(step_s))
        told = load.finish()
        settle(world, told)
        # S3 may refuse signatures of another hour: then it gives its jobs back without blame.
        assert "ready:" in log.read_text() or "waits:" in log.read_text(), "it took part"
    assert "is lost" not in log.read_text()
    tell(check(world, told)).assert_whole()
