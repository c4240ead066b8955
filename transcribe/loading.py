import contextlib
import ctypes
from collections.abc import Collection
from dataclasses import replace

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from threadpoolctl import threadpool_limits

from transcribe.decoding import FRAMES_PER_SECOND, PROMPT_BUDGET, Policy
from transcribe.devices import Device, choose_device
from transcribe.engine import FittedEngine
from transcribe.errors import ModelError
from transcribe.models import CONVERT, ResolvedModel, resolve_model
from transcribe.reader import Reader, Work
from transcribe.rows import Context, Row
from transcribe.settings import TranscribeSettings

# micro was trained on every length, but on few sentences at a time. For weights that nobody measured, a floor of 10 s
# keeps clear of the lengths at which some Whisper models loop; `earshot models check` tells whether to drop it.
MICRO_CONTEXT = Context(tail_s=1.0, floor_s=0.0, longest_window_s=8.0)
CAREFUL_CONTEXT = Context(tail_s=2.5, floor_s=10.0)
# The most prompt tokens that micro was trained with.
MICRO_PROMPT = 60
# Where every window costs 30 s, they had better be long.
LONGEST_FULL_WINDOW_S = 28.0
# Reads one token, whatever comes out.
TRIAL = Policy(
    lowest_logprob=None, highest_compression=None, no_speech=None, read_on=False, tokens_per_second=1.0, spare_tokens=0
)
# From glibc's malloc.h. Other C libraries have no mallopt, or ignore it.
_M_ARENA_MAX = -8


def load(settings: TranscribeSettings, policy: Policy | None = None) -> FittedEngine:
    """Resolve and load the model that `settings` names. Raises ModelError."""
    resolved = resolve_model(settings.model)
    device = choose_device(settings, demo=resolved.demo)
    reader = _reader(settings, policy or Policy(), resolved, device)
    context = choose_context(settings, resolved)
    return FittedEngine(
        resolved.name, resolved.version, reader, context, device, settings.usual_language, settings.hotwords
    )


def choose_context(settings: TranscribeSettings, model: ResolvedModel) -> Context:
    """The model's default, or what the settings say."""
    context = MICRO_CONTEXT if model.demo else CAREFUL_CONTEXT
    if settings.speech_context == "full":
        longest = context.longest_window_s if model.demo else LONGEST_FULL_WINDOW_S
        return replace(context, full=True, longest_window_s=longest)
    if settings.speech_context == "fitted":
        context = replace(context, floor_s=0.0)
    tail = context.tail_s if settings.speech_tail_s is None else settings.speech_tail_s
    floor = context.floor_s if settings.speech_floor_s is None else settings.speech_floor_s
    return replace(context, tail_s=tail, floor_s=floor)


def _reader(settings: TranscribeSettings, policy: Policy, resolved: ResolvedModel, device: Device) -> Reader:
    # Recordings are made ready side by side already; BLAS's threads for each of them wait for one another by spinning.
    threadpool_limits(1, user_api="blas")
    if device.name == "cpu":
        _limit_arenas()
    try:
        whisper = _whisper(resolved, device)
        _check_languages(settings, whisper.supported_languages)
        reader = Reader(
            whisper,
            policy,
            settings.languages,
            settings.word_timestamps,
            together=device.together,
            prompt_budget=MICRO_PROMPT if resolved.demo else PROMPT_BUDGET,
        )
        _check_hotwords(settings.hotwords, reader)
        _try_out(reader)
    except ModelError:
        raise
    except Exception as error:
        # The tokenizer's library knows no kinds of errors.
        raise _load_error(resolved, device, str(error)) from error
    _give_back_memory()
    # Warm retries draw tokens by lot: the same lots after every start.
    ctranslate2.set_random_seed(0)
    return reader


def _whisper(resolved: ResolvedModel, device: Device) -> WhisperModel:
    return WhisperModel(
        str(resolved.path),
        device=device.name,
        compute_type=device.compute_type,
        cpu_threads=device.threads,
        # One more than groups are computed at a time: a live message waits for no step of theirs.
        num_workers=device.workers + 1,
    )


def _check_hotwords(hotwords: str, reader: Reader) -> None:
    """Names of people are cut to what is left; what an operator wrote down is meant as a whole."""
    needed = len(reader.text_tokens(hotwords)) if hotwords.strip() else 0
    if needed > reader.prompt_budget:
        raise ModelError(
            "prompt_too_long",
            f"EARSHOT_HOTWORDS takes {needed} tokens and this model at most {reader.prompt_budget}: leave terms out",
        )


def _try_out(reader: Reader) -> None:
    """Missing GPU libraries, and files that do not belong together, are only missed by the first computation."""
    bands = len(reader.whisper.feature_extractor.mel_filters)
    nothing = np.zeros((bands, FRAMES_PER_SECOND), np.float32)
    row = Row(0, nothing, 0.0, 1.0, ((0.0, 1.0),), None, {}, (), FRAMES_PER_SECOND)
    replace(reader, policy=TRIAL, work=Work()).read([row])


def _limit_arenas() -> None:
    """glibc keeps what every thread once needed in an arena of the thread's: measured, a fifth of a worker's memory, a
    tenth still with two arenas. The model asks for few and large blocks, so one costs no time. Beside a GPU dozens of
    threads make recordings ready, and its memory is what is scarce."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _give_back_memory() -> None:
    """What reading the tokenizer has left behind stays glibc's until it is asked: measured, a tenth of a worker's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _load_error(resolved: ResolvedModel, device: Device, cause: str) -> ModelError:
    if device.name == "cuda":
        return ModelError(
            "device_unavailable",
            f"could not load {resolved.name!r} on the GPU: {cause}. CTranslate2 needs cuBLAS for CUDA 12 (pip install "
            "nvidia-cublas-cu12, with its lib folder in LD_LIBRARY_PATH); EARSHOT_DEVICE=cpu works without",
        )
    return ModelError(
        "model_incomplete",
        f"could not use {resolved.path}: its files are damaged or do not belong together ({cause}). "
        f"Fetch or convert it again ({CONVERT})",
    )


def _check_languages(settings: TranscribeSettings, supported: Collection[str]) -> None:
    wanted = [*settings.languages, *filter(None, [settings.usual_language])]
    unknown = [code for code in wanted if code not in supported]
    if unknown:
        raise ModelError(
            "unknown_language",
            f"the model knows no language {', '.join(unknown)}: EARSHOT_LANGUAGES and EARSHOT_USUAL_LANGUAGE take "
            "codes such as en, de, es",
        )
