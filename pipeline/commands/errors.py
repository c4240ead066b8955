"""What a command tells the person at the terminal instead of a stack trace."""


class UserError(Exception):
    """Something the person can put right; the message says how."""


class Unavailable(UserError):
    """The API does not answer or can't at the moment; the same may work later."""
