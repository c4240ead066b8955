"""One child process that can't outlive us, with its output in a log file."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline.embedded.undertaker import kill_session

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class Process:
    """A running command in a session of its own, so that Ctrl-C in our terminal does not reach it.

    It gets `death_signal` when the thread that started it ends, however that ends.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        with log.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 - our own parts
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, os.getpid(), int(death_signal)),
            )
        self.log = log

    @property
    def pid(self) -> int:
        """Also the number of its session."""
        return self._child.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def wait(self, timeout: float) -> int:
        """Its exit status; raises TimeoutError."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} still runs after {timeout:g} s") from error

    def ask_to_stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._child.send_signal(how)

    def end(self, patience_s: float) -> None:
        """Waits for its end, then kills; nothing of its session is left."""
        try:
            self.wait(patience_s)
        except TimeoutError:
            self._child.kill()
            self._child.wait()
        kill_session(self.pid)

    def last_words(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent(parent: int, death_signal: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        os._exit(1)
