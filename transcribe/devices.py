import os
from dataclasses import dataclass

from transcribe.errors import ModelError
from transcribe.settings import TranscribeSettings


@dataclass(frozen=True)
class Device:
    """Where and how the model computes: `workers` groups at a time, each with `threads` threads."""

    name: str
    compute_type: str
    workers: int
    threads: int
    batch: int


def choose_device(settings: TranscribeSettings) -> Device:
    """Raises ModelError naming what is missing."""
    import ctranslate2

    gpus = ctranslate2.get_cuda_device_count()
    name = settings.device if settings.device != "auto" else ("cuda" if gpus else "cpu")
    if name == "cuda" and not gpus:
        raise ModelError("device_unavailable", "EARSHOT_DEVICE=cuda, but no NVIDIA GPU or driver is visible here")
    compute_type = settings.compute_type
    if compute_type == "auto":
        compute_type = "float16" if name == "cuda" else "int8"
    supported = ctranslate2.get_supported_compute_types(name)
    if compute_type not in supported:
        raise ModelError(
            "compute_type_unavailable",
            f"EARSHOT_COMPUTE_TYPE={compute_type} does not work on this {name}: "
            f"use one of {', '.join(sorted(supported))}",
        )
    return _cuda(settings, compute_type) if name == "cuda" else _cpu(settings, compute_type)


def _cpu(settings: TranscribeSettings, compute_type: str) -> Device:
    cores = available_cores()
    workers = settings.speech_workers or max(1, cores // (settings.speech_threads or 1))
    threads = settings.speech_threads or max(1, cores // workers)
    return Device("cpu", compute_type, workers, threads, settings.speech_batch or 4)


def _cuda(settings: TranscribeSettings, compute_type: str) -> Device:
    return Device(
        "cuda", compute_type, settings.speech_workers or 1, settings.speech_threads or 1, settings.speech_batch or 32
    )


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
