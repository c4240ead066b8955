"""Time and memory of the media steps against the bare ffmpeg commands that make the same outputs.

Both sides take turns, so that a busy machine slows both; medians of several turns are compared. The bare
side is one ffmpeg command per step with the same meter, limiter and encoder options, without jail or checks.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transcode import TranscodeSettings, jail_report, transcode
from transcode.commands import PCM_RATE
from transcode.decode import Sound, decode
from transcode.encode import encode
from transcode.jail import ffmpeg_path
from transcode.waveform import read_samples

RESULTS = Path(__file__).parent / "results" / "media.json"
SECONDS = (3, 10, 60)
TURNS = 9

_METER = "ebur128=framelog=quiet"
_PCM = ("-f", "f32le", "-ar", str(PCM_RATE), "-ac", "1")


@dataclass(frozen=True)
class Cost:
    """Of one run: wall and processor seconds, and the largest process in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def main() -> None:
    """Print a table and write `results/media.json`."""
    jail_report()
    rows = [row for seconds in SECONDS for row in measure(seconds)]
    print(f"{'':24}{'ours':>10}{'bare':>10}{'ratio':>8}{'CPU':>8}{'our peak':>12}{'bare peak':>12}")
    for row in rows:
        print(
            f"{row['seconds']:>3} s {row['step']:18}{row['wall_ms']:7.0f} ms{row['bare_wall_ms']:7.0f} ms"
            f"{row['ratio']:8.2f}{row['cpu_ratio']:8.2f}{row['peak_mb']:9.0f} MB{row['bare_peak_mb']:9.0f} MB"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "turns": TURNS, "steps": rows}, indent=1) + "\n")


def measure(seconds: int) -> list[dict[str, float | str]]:
    """One row each for decode, encode and the whole of a phone recording (AAC in M4A) of `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = recording(folder, seconds)
        steps = _steps(source, folder)
        costs: dict[str, list[tuple[Cost, Cost]]] = {step: [] for step in steps}
        for _ in range(TURNS):
            for step, (ours, bare) in steps.items():
                costs[step].append((_cost(ours), _cost(bare)))
    return [_row(seconds, step, pairs) for step, pairs in costs.items()]


def _steps(source: Path, folder: Path) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    settings = TranscodeSettings()
    sound = decode(source, folder, settings)
    kept = sound.pcm.rename(folder / "kept.f32")
    sound = Sound(kept, sound.samples, sound.recording_lufs, sound.mix_lufs)

    return {
        "decode": (lambda: decode(source, folder, settings), lambda: _bare_decode(source, folder)),
        "encode": (lambda: encode(sound, read_samples(kept), folder, settings), lambda: _bare_encode(kept, folder)),
        "whole": (lambda: transcode(source, folder, settings), lambda: bare_message(source, folder)),
    }


def bare_message(source: Path, folder: Path) -> float:
    """Seconds of the bare commands that make what a message is made of."""
    began = time.perf_counter()
    _bare_encode(_bare_decode(source, folder), folder)
    return time.perf_counter() - began


def _bare_decode(source: Path, folder: Path) -> Path:
    pcm = folder / "bare.f32"
    _bare("-i", str(source), "-af", _METER, *_PCM, str(pcm))
    return pcm


def _bare_encode(pcm: Path, folder: Path) -> None:
    _bare(*_PCM, "-i", str(pcm), *_bare_outputs(folder))


def _bare_outputs(folder: Path) -> list[str]:
    graph = "[0:a]asplit=2[s][v];[v]volume=6dB,alimiter=limit=0.8:level=0,asplit=2[m][o]"
    m4a = [
        "-map",
        "[m]",
        "-c:a",
        "aac",
        "-aac_coder",
        "fast",
        "-b:a",
        "48k",
        "-movflags",
        "+faststart",
        str(folder / "bare.m4a"),
    ]
    opus = ["-map", "[o]", "-c:a", "libopus", "-b:a", "28k", "-application", "audio", str(folder / "bare.ogg")]
    speech = ["-map", "[s]", "-ar", "16000", "-c:a", "flac", "-sample_fmt", "s16", str(folder / "bare.flac")]
    return ["-filter_complex", graph, *m4a, *opus, *speech]


def recording(folder: Path, seconds: int) -> Path:
    """Syllables of noise, as uneven as speech: silence would flatter the encoders."""
    samples = np.random.default_rng(3).standard_normal(seconds * PCM_RATE).astype("<f4")
    syllables = np.sin(np.arange(len(samples)) * (2 * np.pi * 2.3 / PCM_RATE)).clip(0.02) * 0.1
    (folder / "noise.f32").write_bytes((samples * syllables).astype("<f4").tobytes())
    made = folder / "recording.m4a"
    _bare(*_PCM, "-i", str(folder / "noise.f32"), "-c:a", "aac", "-b:a", "64k", str(made))
    return made


def _bare(*arguments: str) -> None:
    """A process started as cheaply as the system can, whose usage is counted with this process's children."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", *arguments]
    pid = os.posix_spawn(command[0], command, {})
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError(f"bare ffmpeg failed: {' '.join(arguments)}")


def _cost(run: Callable[[], object]) -> Cost:
    """In a fork, so that the highest memory use is this run's alone."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _report(run, writer)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as report:
        wall_s, cpu_s, peak = map(float, report.read().split())
    return Cost(wall_s, cpu_s, int(peak))


def _report(run: Callable[[], object], writer: int) -> None:
    own = resource.getrusage(resource.RUSAGE_SELF)
    before, began = own.ru_utime + own.ru_stime, time.perf_counter()
    run()
    wall_s = time.perf_counter() - began
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime - before
    os.write(writer, f"{wall_s} {cpu_s} {children.ru_maxrss * 1024}".encode())
    os._exit(0)


def _row(seconds: int, step: str, pairs: list[tuple[Cost, Cost]]) -> dict[str, float | str]:
    def median(side: int, field: str) -> float:
        return statistics.median(getattr(pair[side], field) for pair in pairs)

    return {
        "seconds": seconds,
        "step": step,
        "wall_ms": median(0, "wall_s") * 1000,
        "bare_wall_ms": median(1, "wall_s") * 1000,
        "ratio": statistics.median(ours.wall_s / bare.wall_s for ours, bare in pairs),
        "cpu_ratio": median(0, "cpu_s") / median(1, "cpu_s"),
        "peak_mb": median(0, "peak_bytes") / 1e6,
        "bare_peak_mb": median(1, "peak_bytes") / 1e6,
    }


if __name__ == "__main__":
    sys.exit(main())
