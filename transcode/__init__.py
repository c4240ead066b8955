"""Hostile bytes in, bounded and checked sound out. The only room that runs ffmpeg, always in its jail."""

from transcode.containers import Container, sniff
from transcode.encode import Rendition
from transcode.errors import JailError, Rejected
from transcode.jail import JailReport, jail_report
from transcode.message import Media, make_speech, transcode
from transcode.settings import TranscodeSettings

__all__ = [
    "Container",
    "JailError",
    "JailReport",
    "Media",
    "Rejected",
    "Rendition",
    "TranscodeSettings",
    "jail_report",
    "make_speech",
    "sniff",
    "transcode",
]
