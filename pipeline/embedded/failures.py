"""Why the embedded stack can't start."""


class PartFailed(Exception):
    """A part can't start or did not become ready; the message says what to do, or ends with the part's last words."""


class DataDirInUse(Exception):
    """Another stack runs on this data folder."""


class StartCancelled(Exception):
    """The stack was told to stop before it was ready."""
