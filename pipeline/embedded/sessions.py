"""Our side of the undertaker: which sessions it must end when we are gone."""

import os
import subprocess
import sys

from pipeline.embedded import undertaker


class Sessions:
    def __init__(self) -> None:
        self._open: set[int] = set()
        self._undertaker = _start_undertaker()

    def add(self, session: int) -> None:
        self._open.add(session)
        self._send(f"+{session}\n")

    def remove(self, session: int) -> None:
        """Its number may now become somebody else's."""
        self._open.discard(session)
        self._send(f"-{session}\n")

    def keep_watched(self) -> None:
        """Replaces an undertaker that was itself killed."""
        if self._undertaker.poll() is None:
            return
        self._close_pipe()
        self._undertaker = _start_undertaker()
        for session in self._open:
            self._send(f"+{session}\n")

    def close(self) -> None:
        """Ends the sessions that are left, and the undertaker."""
        self._close_pipe()
        self._undertaker.wait()

    def _send(self, line: str) -> None:
        assert self._undertaker.stdin is not None
        try:
            self._undertaker.stdin.write(line.encode())
        except BrokenPipeError:
            # Killed: its successor will be told everything.
            return

    def _close_pipe(self) -> None:
        assert self._undertaker.stdin is not None
        self._undertaker.stdin.close()


def _start_undertaker() -> subprocess.Popen[bytes]:
    """In a session of its own, without a death signal: its work begins when we are dead."""
    argv = [sys.executable, "-I", "-S", os.fspath(undertaker.__file__)]
    return subprocess.Popen(  # noqa: S603 - our own file
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, bufsize=0
    )
