"""What can go wrong in storage, as the rooms above see it: vendor errors are translated at the door."""


class StorageUnavailable(Exception):
    """Postgres or S3 can't be reached or answered with its own fault; the same call may work later."""


class ObjectSwept(StorageUnavailable):
    """An intent ran out before anything referred to its object: that is gone, or will be, and is to be put again."""


class NoThread(Exception):
    """There is no such thread for this person."""


class StorageFull(Exception):
    """The disk behind Postgres or S3 is full."""


class ObjectMissing(Exception):
    """No object has this key."""


class AudioGone(ObjectMissing):
    """Nothing is left of a recording that it could be made of again: its retention has ended."""


class LeaseLost(Exception):
    """The job is no longer this worker's (re-claimed, cancelled, message deleted): its work must be thrown away."""
