import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio

from transcribe import Clip, Transcript
from transcribe.check import word_error_rate
from transcribe.clip import SAMPLE_RATE, Samples
from transcribe.protocol import Outcome

SAMPLES = Path(__file__).parents[2] / "pipeline" / "samples"


@dataclass(frozen=True, eq=False)
class Recording:
    name: str
    samples: Samples
    language: str
    text: str

    @property
    def clip(self) -> Clip:
        return Clip(self.samples)


@cache
def recordings() -> list[Recording]:
    """The project's spoken sample recordings."""
    listed = json.loads((SAMPLES / "samples.json").read_text("utf-8"))
    return [
        Recording(item["file"], decode_audio(str(SAMPLES / item["file"])), item["language"], item["text"])
        for item in listed
        if item["text"]
    ]


def joined(seconds: float) -> tuple[Samples, list[str]]:
    """English recordings one after the other with pauses, and what they say."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    parts: list[Samples] = []
    texts: list[str] = []
    english = [recording for recording in recordings() if recording.language == "en"]
    while True:
        following = english[len(texts) % len(english)]
        if sum(map(len, parts)) + len(following.samples) > seconds * SAMPLE_RATE:
            return np.concatenate(parts), texts
        parts += [following.samples, pause]
        texts.append(following.text)


def said(recording: Recording, transcript: Transcript) -> bool:
    """At most one word in ten is wrong: the bundled model is small."""
    return word_error_rate([recording.text], [transcript.text]) <= 0.1


def read(outcome: Outcome) -> Transcript:
    assert isinstance(outcome, Transcript), outcome
    return outcome
