"""What a command tells the person at the terminal instead of a stack trace."""


class UserError(Exception):
    """Something the person can put right; the message says how."""
