"""Keeps parts alive: starts them tier by tier, restarts what dies, stops them in reverse."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from pipeline.embedded.failures import PartFailed, StartCancelled
from pipeline.embedded.parts import Part
from pipeline.embedded.process import Process
from pipeline.embedded.sessions import Sessions

log = logging.getLogger("earshot.stack")

_READY_S = 90.0
_STARTS = 3
_POLL_S = 0.05
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
# After this long alive, the next death counts as the first again.
_STABLE_S = 30.0


@dataclass
class _Running:
    part: Part
    process: Process
    started: float
    pause: float = _FIRST_PAUSE_S
    restart_at: float | None = None


class Supervisor:
    """Used by one thread, which must live as long as the parts: their death signal hangs on it."""

    def __init__(self, stopping: Event, changed: Callable[[dict[str, int]], None]) -> None:
        self._stopping = stopping
        self._changed = changed
        self._tiers: list[list[_Running]] = []
        self._sessions = Sessions()
        self._is_told = True

    def start(self, parts: Sequence[Part]) -> None:
        """Starts a tier, all at once, and returns when each is ready; raises PartFailed or StartCancelled."""
        tier: list[_Running] = []
        self._tiers.append(tier)
        for part in parts:
            tier.append(_Running(part, self._spawn(part), time.monotonic()))
        for running in tier:
            self._await_ready(running)

    def publish(self) -> None:
        """Tells who runs as which process."""
        self._changed({running.part.name: running.process.pid for running in self._all()})

    def watch(self) -> None:
        """Restarts what dies until told to stop."""
        while not self._stopping.wait(_POLL_S):
            self._sessions.keep_watched()
            for running in self._all():
                self._look_after(running)
            if not self._is_told:
                self._tell()

    def stop(self) -> None:
        """Ends all parts, those first that others don't need, each tier at once."""
        for tier in reversed(self._tiers):
            for running in reversed(tier):
                if running.process.exit_status() is None:
                    running.process.ask_to_stop(running.part.stop_signal)
            for running in reversed(tier):
                running.process.end(running.part.patience_s)
                self._sessions.remove(running.process.pid)
        self._sessions.close()

    def _await_ready(self, running: _Running) -> None:
        starts, until = 1, time.monotonic() + _READY_S
        while not running.part.ready() or running.process.exit_status() is not None:
            if self._stopping.wait(_POLL_S):
                raise StartCancelled
            if time.monotonic() > until:
                raise PartFailed(_not_ready(running, f"is not ready after {_READY_S:g} s"))
            if running.process.exit_status() is None:
                continue
            if starts == _STARTS:
                raise PartFailed(_not_ready(running, f"ended with status {running.process.exit_status()}"))
            starts += 1
            self._stopping.wait(starts * _FIRST_PAUSE_S)
            self._replace(running)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.restart_at is not None:
            if now >= running.restart_at:
                self._restart(running, now)
        elif running.process.exit_status() is not None:
            self._plan_restart(running, now)
        elif now - running.started > _STABLE_S:
            running.pause = _FIRST_PAUSE_S

    def _plan_restart(self, running: _Running, now: float) -> None:
        # What it left behind would be in the way of its successor.
        running.process.end(0)
        log.warning(
            "%s ended with status %s; starting it again in %g s (see %s)",
            running.part.name,
            running.process.exit_status(),
            running.pause,
            running.process.log,
        )
        running.restart_at = now + running.pause
        running.pause = min(2 * running.pause, _LONGEST_PAUSE_S)

    def _restart(self, running: _Running, now: float) -> None:
        try:
            self._replace(running)
            self._is_told = False
        except (OSError, PartFailed) as error:
            # A full disk or process table: that passes, and must not end what still runs.
            log.warning("%s could not be started: %s", running.part.name, error)
            running.restart_at = now + _LONGEST_PAUSE_S

    def _tell(self) -> None:
        """Again and again while the disk is full: what runs is not started twice for that."""
        with suppress(OSError):
            self.publish()
            self._is_told = True

    def _replace(self, running: _Running) -> None:
        self._sessions.remove(running.process.pid)
        running.process = self._spawn(running.part)
        running.started, running.restart_at = time.monotonic(), None

    def _spawn(self, part: Part) -> Process:
        process = part.start()
        self._sessions.add(process.pid)
        return process

    def _all(self) -> list[_Running]:
        return [running for tier in self._tiers for running in tier]


def _not_ready(running: _Running, what: str) -> str:
    return f"{running.part.name} {what}; the end of {running.process.log}:\n{running.process.last_words()}"
