"""Hostile bytes in, bounded and checked sound out. The only room that runs ffmpeg, always in its jail."""

from typing import TYPE_CHECKING, Any

from transcode.containers import Container, sniff
from transcode.errors import JailError, Rejected, TranscodeFailed
from transcode.jail import JailReport, jail_report
from transcode.settings import TranscodeSettings

if TYPE_CHECKING:
    from transcode.encode import Rendition
    from transcode.message import Media, make_speech, transcode

__all__ = [
    "Container",
    "JailError",
    "JailReport",
    "Media",
    "Rejected",
    "Rendition",
    "TranscodeFailed",
    "TranscodeSettings",
    "jail_report",
    "make_speech",
    "sniff",
    "transcode",
]


def __getattr__(name: str) -> Any:
    """What needs numpy comes when asked for: who only sniffs uploads stays light."""
    if name not in __all__:
        raise AttributeError(name)
    from transcode import message

    return getattr(message, name)
