import os
from pathlib import Path

import ctranslate2
import pytest
from threadpoolctl import threadpool_info

from transcribe import ModelError, TranscribeSettings, devices, load_engine, loading, resolve_model
from transcribe.decoding import Policy
from transcribe.devices import available_cores, choose_device


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_MODEL", "base")
    monkeypatch.setenv("EARSHOT_LANGUAGES", "en, DE,es")
    monkeypatch.setenv("EARSHOT_SPEECH_CONTEXT", "full")
    settings = TranscribeSettings()
    assert (settings.model, settings.languages, settings.speech_context) == ("base", ("en", "de", "es"), "full")


def test_names_and_hotwords_are_off_until_told() -> None:
    assert TranscribeSettings().prompt_names is False
    assert TranscribeSettings().hotwords == ""


@pytest.mark.parametrize(("workers", "threads"), [(0, 0), (1, 0), (0, 2), (3, 1)])
def test_workers_and_threads_fill_the_cores(workers: int, threads: int) -> None:
    device = choose_device(TranscribeSettings(device="cpu", speech_workers=workers, speech_threads=threads))
    assert device.workers == workers or workers == 0
    assert device.threads == threads or threads == 0
    assert workers or threads or device.workers * device.threads == available_cores()


@pytest.mark.parametrize(
    ("limit", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("", None), (None, None)]
)
def test_a_containers_share_of_the_machine_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, cores: int | None
) -> None:
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(devices, "CPU_MAX", tmp_path / "cpu.max")
    assert available_cores() == (cores or len(os.sched_getaffinity(0)))


def test_recordings_are_made_ready_without_threads_of_blas() -> None:
    load_engine(TranscribeSettings(model="micro", device="cpu")).close()
    assert [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"] == [1]


def test_a_gpu_takes_half_precision_but_for_the_model_that_was_trained_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda _: {"float16", "float32", "bfloat16"})
    found = [choose_device(TranscribeSettings(), demo=demo) for demo in (False, True)]
    assert [(device.name, device.compute_type) for device in found] == [("cuda", "float16"), ("cuda", "float32")]
    assert all(device.hands == available_cores() and device.mixed for device in found)


def test_a_compute_type_the_device_lacks_names_those_it_has() -> None:
    with pytest.raises(ModelError, match="int8") as raised:
        choose_device(TranscribeSettings(device="cpu", compute_type="float17"))
    assert raised.value.code == "compute_type_unavailable"


@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="there is a GPU here")
def test_without_a_gpu_cuda_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelError, match="no NVIDIA GPU") as raised:
        load_engine(TranscribeSettings(model="micro", device="cuda"))
    assert raised.value.code == "device_unavailable"


@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="there is a GPU here")
def test_what_the_libraries_of_a_gpu_lack_is_told_with_where_they_are_to_be_had() -> None:
    device = devices.Device("cuda", "float16", 2, 1, 64, 960.0, 64, 2, mixed=True)
    with pytest.raises(ModelError, match="pip install nvidia-cublas-cu12") as raised:
        loading._reader(TranscribeSettings(), Policy(), resolve_model("micro"), device)
    assert raised.value.code == "device_unavailable"
