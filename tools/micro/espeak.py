"""Speech from libespeak-ng, with the time at which each word begins."""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tools.micro.voices import Voice

RATE: Final = 16_000
SYNCHRONOUS: Final = 2
CHARACTERS: Final = 1
UTF8: Final = 1
WORD_EVENT: Final = 1
PARAMETER_SPEED, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4
SILENCE_MARGIN: Final = 10 ** (-45 / 20)

Samples = npt.NDArray[np.float32]


class Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


@dataclass(frozen=True)
class Spoken:
    """A sentence without the silence around it: float32 mono at RATE, and each word's beginning in seconds."""

    samples: Samples
    word_starts: list[float]


class Speaker:
    """One process's espeak-ng; the library keeps its state in globals."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(find_library("espeak-ng") or "libespeak-ng.so.1")
        self._rate = int(self._library.espeak_Initialize(SYNCHRONOUS, 0, None, 0))
        self._chunks: list[npt.NDArray[np.int16]] = []
        self._words: list[tuple[int, int]] = []
        self._callback = CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: Voice) -> Spoken:
        """Reads a sentence; ValueError when the voice does not exist or says nothing."""
        self._chunks, self._words = [], []
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name}")
        for parameter, value in (
            (PARAMETER_SPEED, voice.speed),
            (PARAMETER_PITCH, voice.pitch),
            (PARAMETER_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        raw = text.encode()
        self._library.espeak_Synth(raw, len(raw) + 1, 0, CHARACTERS, 0, UTF8, None, None)
        if not self._chunks:
            raise ValueError(f"{voice.name} says nothing for {text!r}")
        sound = resample(np.concatenate(self._chunks).astype(np.float32) / 32_768, self._rate)
        return trim(sound, word_starts(text, self._words))

    def _receive(self, wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[Event]) -> int:
        if wave and count:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        i = 0
        while events[i].type != 0:
            if events[i].type == WORD_EVENT:
                self._words.append((events[i].text_position - 1, events[i].audio_position))
            i += 1
        return 0


def resample(sound: Samples, rate: int) -> Samples:
    """To RATE, by cutting or filling up the spectrum."""
    count = round(len(sound) * RATE / rate)
    spectrum = np.fft.rfft(sound)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, count) * (count / len(sound))).astype(np.float32)


def word_starts(text: str, events: list[tuple[int, int]]) -> list[float]:
    """Seconds at which each blank-separated word begins; a word that espeak-ng joined to another begins with it."""
    starts: list[float] = []
    position = 0
    for word in text.split():
        begin = text.index(word, position)
        position = begin + len(word)
        inside = [ms for at, ms in events if begin <= at < position]
        before = [ms for at, ms in events if at < position]
        starts.append((inside or before[-1:] or [0])[0] / 1000)
    return starts


def trim(sound: Samples, starts: list[float]) -> Spoken:
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * SILENCE_MARGIN)
    first, last = int(loud[0]), int(loud[-1]) + 1
    return Spoken(sound[first:last], [max(0.0, start - first / RATE) for start in starts])
