"""One child process that can't outlive us, with its output in a log file."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class Process:
    """A running command in a session of its own (Ctrl-C in our terminal does not reach it); it gets `death_signal` when
    the thread that started it ends, however it ends."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        with log.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 - our own parts
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, os.getpid(), int(death_signal)),
            )
        self.log = log

    @property
    def pid(self) -> int:
        return self._child.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def wait(self, timeout: float) -> int:
        """Raises TimeoutError."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} still runs after {timeout:g} s") from error

    def stop(self, first: signal.Signals = signal.SIGTERM, patience_s: float = 10) -> None:
        """Asks with a signal, then kills; in the end nothing of its session is left."""
        if self.exit_status() is None:
            self._child.send_signal(first)
            try:
                self.wait(patience_s)
            except TimeoutError:
                self._child.kill()
                self._child.wait()
        kill_session(self.pid)

    def last_words(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def kill_session(session: int) -> None:
    """Kills every process that a session's leader left behind."""
    while members := _members(session):
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _members(session: int) -> list[int]:
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and int(entry) != session and _alive_in(entry, session)
    ]


def _alive_in(pid: str, session: int) -> bool:
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    # After the command's name, which may hold anything: state, ppid, pgrp, session.
    state, _, _, its_session = stat.rpartition(")")[2].split()[:4]
    return state not in "ZX" and int(its_session) == session


def _die_with_parent(parent: int, death_signal: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        os._exit(1)
