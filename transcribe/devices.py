import math
import os
from dataclasses import dataclass
from pathlib import Path

from transcribe.errors import ModelError
from transcribe.settings import TranscribeSettings

# Decoding gains a lot from company (the weights are read once for all rows). Encoding and aligning gain nothing on a
# CPU, and an alignment with padded company differs in its last digits: there they are done row by row. The seconds
# keep most calls of the model under half a second with `base` on one core: so long one may slow a live message down.
# They bound the memory, too: groups of 40 s are 4 % faster and take a tenth more.
CPU_ROWS, CPU_SECONDS = 12, 28.0
GPU_ROWS, GPU_SECONDS = 64, 960.0
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Device:
    """Where and how the model computes: `workers` groups at a time, each with `threads` threads.

    A group has at most `rows` rows and `seconds` of context, and is encoded and aligned `together` rows at a time.
    `mixed`: rows that need less context than others of their group get as much. `hands` recordings at a time are
    made ready for it.
    """

    name: str
    compute_type: str
    workers: int
    threads: int
    rows: int
    seconds: float
    together: int
    hands: int
    mixed: bool


def choose_device(settings: TranscribeSettings, *, demo: bool = False) -> Device:
    """For stock weights, or for the `demo` model. Raises ModelError naming what is missing."""
    import ctranslate2

    gpus = ctranslate2.get_cuda_device_count()
    name = settings.device if settings.device != "auto" else ("cuda" if gpus else "cpu")
    if name == "cuda" and not gpus:
        raise ModelError("device_unavailable", "EARSHOT_DEVICE=cuda, but no NVIDIA GPU or driver is visible here")
    compute_type = settings.compute_type
    if compute_type == "auto":
        compute_type = _usual_compute_type(name, demo)
    # Rows are regrouped on the host, by numpy, which has no bfloat16.
    supported = {kind for kind in ctranslate2.get_supported_compute_types(name) if "bfloat16" not in kind}
    if compute_type not in supported:
        raise ModelError(
            "compute_type_unavailable",
            f"EARSHOT_COMPUTE_TYPE={compute_type} does not work on this {name}: "
            f"use one of {', '.join(sorted(supported))}",
        )
    return _cuda(settings, compute_type) if name == "cuda" else _cpu(settings, compute_type)


def _usual_compute_type(device: str, demo: bool) -> str:
    if device == "cpu":
        return "int8"
    # With half its bits micro says a sentence twice now and then: 0.4 points more of its words were wrong.
    return "float32" if demo else "float16"


def _cpu(settings: TranscribeSettings, compute_type: str) -> Device:
    cores = available_cores()
    workers = settings.speech_workers or max(1, cores // (settings.speech_threads or 1))
    threads = settings.speech_threads or max(1, cores // workers)
    rows = settings.speech_batch or CPU_ROWS
    return Device("cpu", compute_type, workers, threads, rows, CPU_SECONDS, together=1, hands=workers, mixed=False)


def _cuda(settings: TranscribeSettings, compute_type: str) -> Device:
    # Two workers keep the GPU busy while one of them is on the host; they share the weights. A step of the decoder
    # takes as long for one row as for dozens, and context costs next to nothing: few groups count.
    rows = settings.speech_batch or GPU_ROWS
    workers = settings.speech_workers or 2
    threads = settings.speech_threads or 1
    hands = available_cores()
    return Device("cuda", compute_type, workers, threads, rows, GPU_SECONDS, GPU_ROWS, hands, mixed=True)


def available_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota() -> float:
    """How many cores' time a container may use, of all that it sees."""
    try:
        quota, period = CPU_MAX.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf
