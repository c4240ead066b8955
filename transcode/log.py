"""What ffmpeg's verbose log says, as numbers; the only reader of that text."""

import re
from dataclasses import astuple, dataclass

_OPENED = re.compile(r"^Input #0, ", re.M)
_DECLARED = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+),", re.M)
_AUDIO_STREAM = re.compile(r"^  Stream #0:\d+.*?: Audio: (?:.*?, (\d+) Hz)?", re.M)
# Lines that begin with a bracket are ffmpeg's own: it indents what it quotes from a file. Its threads may
# write into each other's lines, so that now and then one of these goes missing.
_DECODED_FORMAT = re.compile(r"^\[graph_-?\d+_in_\d+:\S+ @ \S+\] .*samplerate:(\d+) chlayout:(.*)$", re.M)
_MIXED = re.compile(r"^\[\S*aresample\S* @ \S+\] ch:(\d+) ", re.M)
_COUNTS = re.compile(
    r"^\[in#(\d+)/.*\]   Input stream #\d+:\d+ \(audio\): (\d+) packets read [^;]*"
    r"(?:; (\d+) frames decoded; (\d+) decode errors \((\d+) samples\))?",
    re.M,
)
_SUMMARY = r"^\[ebur128@{name} @ \S+\] Summary:\s+Integrated loudness:\s+I:\s+(-?[\d.]+|-?inf|nan) LUFS"
_UNSUPPORTED = re.compile(
    r"not on whitelist|Decoder \(codec \S+\) not found|Decoding requested, but no decoder"
    r"|Rematrix is needed between|Too many channels"
)
_OUT_OF_MEMORY = re.compile(r"Cannot allocate memory", re.I)
_NO_THREADS = re.compile(r"^\[.*(?:pthread_create\(\) failed|Resource temporarily unavailable)", re.M)
# Not of threads: `threads` finds out about those.
_NO_MACHINE = re.compile(
    r"No space left on device|Disk quota exceeded|Read-only file system|Input/output error|Cannot allocate memory"
)
_SILENCE_LUFS = -70.0


@dataclass(frozen=True)
class Counts:
    """Of one reading of the track: packets read, frames decoded, packets that failed, samples (per channel)."""

    packets: int = 0
    frames: int = 0
    errors: int = 0
    samples: int = 0

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(*(mine + its for mine, its in zip(astuple(self), astuple(more), strict=True)))


@dataclass(frozen=True)
class DecodeLog:
    """`played`: as the edit list shows it; `unedited`: the edit list ignored (packets only; None where not counted).

    `only_mono`: one meter heard all of it, in one channel: what it measured is the loudness of the mix, too.
    """

    opened: bool
    declared_s: float | None
    has_audio: bool
    rates: tuple[int, ...]
    channels: int
    played: Counts
    unedited: Counts | None
    unsupported: bool
    out_of_memory: bool
    recording_lufs: float | None
    only_mono: bool
    mix_lufs: float | None


def read_log(text: str, inputs: int = 1) -> DecodeLog:
    """Read the log of a decode of so many files in a row; what is not there is zero, empty or None."""
    counts = {int(row[0]): Counts(*(int(number or 0) for number in row[1:])) for row in _COUNTS.findall(text)}
    recording = _measurements(text, "recording")
    layouts = {layout for _, layout in _DECODED_FORMAT.findall(text)}
    return DecodeLog(
        opened=bool(_OPENED.search(text)),
        declared_s=_declared_s(text),
        has_audio=bool(_AUDIO_STREAM.search(text)),
        rates=_rates(text),
        channels=max(map(int, _MIXED.findall(text)), default=0),
        played=sum((counts.get(number, Counts()) for number in range(inputs)), Counts()),
        unedited=counts.get(inputs),
        unsupported=bool(_UNSUPPORTED.search(text)),
        out_of_memory=bool(_OUT_OF_MEMORY.search(text)),
        recording_lufs=max((lufs for lufs in recording if lufs is not None), default=None),
        only_mono=layouts == {"mono"} and len(recording) == 1,
        mix_lufs=next(iter(_measurements(text, "mix")), None),
    )


def lacks_threads(text: str) -> bool:
    """Whether a thread could not be had; filters, which start some too, only tell the kernel's answer."""
    return bool(_NO_THREADS.search(text))


def lacks_machine(text: str) -> bool:
    """Whether an encode ended for want of disk or memory. Its input is bounded: none of this is the file's doing."""
    return bool(_NO_MACHINE.search(text))


def _rates(text: str) -> tuple[int, ...]:
    """First what the track was opened with, then what it was decoded to."""
    opened = _AUDIO_STREAM.search(text)
    found = [opened[1]] if opened and opened[1] else []
    return tuple(int(rate) for rate in found + [rate for rate, _ in _DECODED_FORMAT.findall(text)])


def _declared_s(text: str) -> float | None:
    found = _DECLARED.search(text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def _measurements(text: str, name: str) -> list[float | None]:
    found = re.findall(_SUMMARY.format(name=name), text, re.M)
    return [lufs if (lufs := float(value)) > _SILENCE_LUFS else None for value in found]
