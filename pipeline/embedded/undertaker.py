"""Leaves nothing running: sessions of processes, and the small program that ends them when the supervisor was killed.

Run as a file with the standard library alone (`python -I -S undertaker.py`), so that it starts in milliseconds and
outlives whatever is wrong with the installation.
"""

import os
import signal
import sys
import time

# How long a leader may take over the signal that its parent's death sent it.
_PATIENCE_S = 6.0


def main() -> None:
    """Reads `+session` and `-session` lines; at their end, whoever closed it, ends the sessions that are left."""
    sessions: set[int] = set()
    for line in sys.stdin:
        change = sessions.add if line.startswith("+") else sessions.discard
        change(int(line[1:]))
    until = time.monotonic() + _PATIENCE_S
    while sessions:
        for session in list(sessions):
            if not is_running(session):
                kill_session(session)
                sessions.discard(session)
            elif time.monotonic() > until:
                kill(session)
        time.sleep(0.02)


def kill_session(session: int) -> None:
    """Kills every process that a session's leader left behind."""
    while members := _members(session):
        for pid in members:
            kill(pid)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_running(pid: int) -> bool:
    return _session_of(str(pid)) is not None


def _members(session: int) -> list[int]:
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and int(entry) != session and _session_of(entry) == session
    ]


def _session_of(pid: str) -> int | None:
    """The session of a process that has not ended yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            stat = file.read()
    except OSError:
        return None
    # After the command's name, which may hold anything: state, parent, group, session.
    state, _, _, session = stat.rpartition(")")[2].split()[:4]
    return None if state in "ZX" else int(session)


if __name__ == "__main__":
    main()
