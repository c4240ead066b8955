"""Whether a decoded file can become a message, and if not, why, in words for its sender."""

import signal

from transcode.errors import JailError, Rejected
from transcode.jail import Finished
from transcode.log import Counts, DecodeLog
from transcode.settings import TranscodeSettings

MIN_RATE, MAX_RATE = 8_000, 192_000
# Above this there are arrangements whose mix leaves channels out; a voice could silently be lost.
MAX_CHANNELS = 8
# Encoders pad their last frame, so that a minute recorded is a little more than a minute decoded.
_TOLERANCE_S = 0.25
_TOLERANCE_SAMPLES = 4096
# Encoders begin with up to three packets of silence, which every edit list hides.
_PRIMING_PACKETS = 4
# A process that met its deadline without using the processor was starved or stuck: not the file's doing.
_BUSY_CPU_S = 2.0

_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


def judge(finished: Finished, log: DecodeLog, played_s: float, settings: TranscodeSettings) -> None:
    """Return when the PCM is a message; raise Rejected when the file is at fault, JailError when the jail is."""
    _judge_process(finished, log)
    _judge_format(log)
    if played_s == 0:
        raise _nothing_decoded(log)
    if not log.rates or log.played.errors > log.played.frames:
        raise Rejected("corrupt", "The recording is damaged: most of it cannot be decoded.")
    _judge_length(log, played_s, settings)


def may_hide_sound(log: DecodeLog) -> bool:
    """Whether the track has clearly more packets than were played: then its samples must be counted, too."""
    if log.unedited is None:
        return False
    played_packets = min(log.played.packets, log.played.frames + log.played.errors)
    return log.unedited.packets > played_packets + _PRIMING_PACKETS


def judge_hidden(log: DecodeLog, settings: TranscodeSettings) -> None:
    """Raise Rejected when the whole track, of which `log` is the decode, is over the limit."""
    if log.rates and log.played.samples / max(log.rates) > settings.max_duration_s + _tolerance_s(log):
        raise _too_long(settings)


def _judge_process(finished: Finished, log: DecodeLog) -> None:
    killed_by = -finished.returncode
    if finished.timed_out and finished.cpu_s < _BUSY_CPU_S:
        raise JailError("decoding stood still until its time was up")
    if finished.timed_out or finished.spent:
        raise Rejected("decode_limit", "Decoding this file takes more than any voice message may need.")
    if killed_by in _CRASHES:
        raise Rejected("corrupt", "The recording is damaged and cannot be decoded.")
    if killed_by > 0:
        raise JailError(f"decoding was ended by signal {killed_by}")
    if log.out_of_memory and finished.returncode != 0:
        raise Rejected("decode_limit", "Decoding this file takes more memory than any voice message may need.")


def _judge_format(log: DecodeLog) -> None:
    if any(not MIN_RATE <= rate <= MAX_RATE for rate in log.rates):
        raise Rejected("unsupported_format", "The sample rate must be between 8 kHz and 192 kHz.")
    if log.channels > MAX_CHANNELS:
        raise Rejected("unsupported_format", f"Sound with more than {MAX_CHANNELS} channels cannot be played.")


def _nothing_decoded(log: DecodeLog) -> Rejected:
    if log.opened and not log.has_audio:
        return Rejected("no_audio", "The file has no sound in it.")
    if log.unsupported:
        return Rejected("unsupported_format", "The sound is in a format that we cannot play.")
    if log.channels and log.played == Counts() and not log.declared_s:
        return Rejected("no_audio", "The file has no sound in it.")
    return Rejected("corrupt", "The recording is damaged and cannot be decoded.")


def _judge_length(log: DecodeLog, played_s: float, settings: TranscodeSettings) -> None:
    if played_s > settings.max_duration_s + _tolerance_s(log):
        raise _too_long(settings)
    if played_s < settings.min_duration_s:
        raise Rejected("too_short", f"The recording is shorter than {settings.min_duration_s:g} seconds.")


def _too_long(settings: TranscodeSettings) -> Rejected:
    return Rejected("too_long", f"The recording is longer than {settings.max_duration_s:g} seconds.")


def _tolerance_s(log: DecodeLog) -> float:
    return max(_TOLERANCE_S, _TOLERANCE_SAMPLES / max(log.rates, default=MAX_RATE))
