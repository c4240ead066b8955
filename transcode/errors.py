"""What can go wrong, and whose fault it is."""


class Rejected(Exception):
    """The file itself cannot become a message; trying again would end the same way.

    `code` is one of too_long, too_short, no_audio, corrupt, unsupported_format, decode_limit;
    `message` is written for the sender and never carries tool output or paths.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class JailError(RuntimeError):
    """The jail could not do its work, whatever the file: infrastructure, worth another try."""


class TranscodeFailed(RuntimeError):
    """ffmpeg gave up on this file, and on nothing that others would want, too: worth another try, but not for ever."""
