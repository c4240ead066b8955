"""PostgreSQL refuses to run as root, and as a user without a name. A user namespace gives it another identity: the same
process, whose files stay ours, under the number of an ordinary user of this system."""

import os
import pwd
import subprocess
from pathlib import Path

from pipeline.embedded.failures import PartFailed

_OVERFLOW_UID = 65534


def wrapper(program: Path) -> list[str]:
    """What to put before a command so that it is not root; nothing when it is not. Raises PartFailed.

    `program` is tried: in the namespace root has no more rights than any owner of files.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return []
    command = ["unshare", "--user", f"--map-user={_ordinary_user()}", f"--map-group={_ordinary_user()}"]
    try:
        tried = subprocess.run([*command, str(program), "--version"], capture_output=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise _refused(str(error)) from error
    if tried.returncode:
        raise _refused(tried.stderr.decode(errors="replace").strip())
    return command


def _ordinary_user() -> int:
    """The number of some user that this system has a name for."""
    users = [each.pw_uid for each in pwd.getpwall() if each.pw_uid not in (0, _OVERFLOW_UID)]
    return users[0] if users else 1


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _refused(said: str) -> PartFailed:
    who = "root" if os.geteuid() == 0 else "a user without a name"
    return PartFailed(
        f"PostgreSQL does not run as {who}, and can't run here in a user namespace ({said})."
        " Start Earshot as an ordinary user who may read this installation, allow user namespaces, or set"
        " EARSHOT_DATABASE_URL to a PostgreSQL server of your own."
    )
