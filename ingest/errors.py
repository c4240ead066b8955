"""Why an upload is not taken. Each is the sender's fault and says what to do about it."""


class Refused(Exception):
    """`code` is one of the public error codes; `retry_after_s` says when the same may be taken."""

    def __init__(self, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


def too_large(max_bytes: int) -> Refused:
    return Refused("too_large", f"a recording may have at most {max_bytes} bytes")


def incomplete_form() -> Refused:
    return Refused("invalid_request", "the form ends before its last boundary: send it again")


def rate_limited(message: str, retry_after_s: int) -> Refused:
    return Refused("rate_limited", message, retry_after_s=retry_after_s)
