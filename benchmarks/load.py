"""The load of the speech benchmarks: voice messages of synthetic speech, always the same for one seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.micro.espeak import Speaker
from tools.micro.sentences import LANGUAGES, TRAINING, grammar
from tools.micro.voices import Voice, draw_voice
from transcribe.clip import SAMPLE_RATE

MEDIAN_S, SIGMA = 6.0, 0.7
SHORTEST_S, LONGEST_S = 1.0, 60.0
LEVEL = 10 ** (-23 / 20)
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Message:
    """`word_starts` are seconds, one for each blank-separated word of `text`."""

    samples: Samples
    language: str
    text: str
    word_starts: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def make_load(count: int, seed: int = 7) -> list[Message]:
    """Lengths are log-normal (median 6 s, sigma 0.7), cut at 1 and 60 s; languages as the grammars share them."""
    rng = random.Random(seed)
    speaker = Speaker()
    shares = [grammar(language).share for language in LANGUAGES]
    return [_message(rng, rng.choices(LANGUAGES, shares)[0], speaker) for _ in range(count)]


def _message(rng: random.Random, language: str, speaker: Speaker) -> Message:
    """Whole sentences with pauses until the drawn length is reached, or as near to it as they come."""
    wanted = min(LONGEST_S, max(SHORTEST_S, rng.lognormvariate(np.log(MEDIAN_S), SIGMA)))
    voice = draw_voice(grammar(language), rng, held_out=False)
    parts: list[Samples] = [np.zeros(round(rng.uniform(0.05, 0.3) * SAMPLE_RATE), np.float32)]
    texts: list[str] = []
    starts: list[float] = []
    while not texts or sum(map(len, parts)) / SAMPLE_RATE < wanted - 1.0:
        text = grammar(language).draw(rng, TRAINING)
        spoken, word_starts = _say(speaker, text, voice)
        length = sum(map(len, parts)) / SAMPLE_RATE
        if length + len(spoken) / SAMPLE_RATE > LONGEST_S:
            break
        texts.append(text)
        starts += [length + start for start in word_starts]
        parts += [spoken, np.zeros(round(rng.uniform(0.2, 0.7) * SAMPLE_RATE), np.float32)]
    return Message(_with_noise(np.concatenate(parts), rng), language, " ".join(texts), tuple(starts))


def _say(speaker: Speaker, text: str, voice: Voice) -> tuple[Samples, Sequence[float]]:
    spoken = speaker.say(text, voice)
    level = float(np.sqrt(np.mean(spoken.samples**2)))
    return np.clip(spoken.samples * (LEVEL / level), -1, 1), spoken.word_starts


def _with_noise(samples: Samples, rng: random.Random) -> Samples:
    """A quiet room: no microphone records digital silence between words."""
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 10 ** (-65 / 20), len(samples))
    return (samples + noise).astype(np.float32)


def make_voiceless(seed: int = 11) -> list[tuple[str, Samples]]:
    """100 recordings in which nobody speaks: silence, noise of several colours, tones, breath; 1-30 s."""
    rng = np.random.default_rng(seed)
    kinds: list[tuple[str, Callable[[int, np.random.Generator], Samples]]] = [
        ("silence", lambda n, _: np.zeros(n, np.float32)),
        ("hiss", lambda n, r: _noise(n, r, 0.0)),
        ("hum", lambda n, r: _noise(n, r, 2.0)),
        ("rustle", lambda n, r: _bursts(n, r)),
        ("tone", lambda n, r: _tone(n, r)),
        ("breath", lambda n, r: _breath(n, r)),
        ("knocks", lambda n, r: _knocks(n, r)),
    ]
    clips = []
    for index in range(100):
        name, make = kinds[index % len(kinds)]
        count = round(float(rng.uniform(1, 30)) * SAMPLE_RATE)
        level = 10 ** (float(rng.uniform(-50, -10)) / 20)
        sound = make(count, rng)
        peak = float(np.abs(sound).max()) or 1.0
        clips.append((name, (sound / peak * level).astype(np.float32)))
    return clips


def _noise(count: int, rng: np.random.Generator, steepness: float) -> Samples:
    """Noise whose power falls with frequency to the power of `steepness`."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    shape = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0) ** (-steepness / 2)
    return np.fft.irfft(spectrum * shape, count).astype(np.float32)


def _swell(count: int, rng: np.random.Generator, period_s: float) -> Samples:
    phase = float(rng.uniform(0, np.pi))
    return np.square(np.sin(np.pi * np.arange(count) / SAMPLE_RATE / period_s + phase)).astype(np.float32)


def _breath(count: int, rng: np.random.Generator) -> Samples:
    """Band noise around 600-1500 Hz that swells as breathing does."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    band = np.exp(-(((frequency - float(rng.uniform(600, 1500))) / 500) ** 2))
    return np.fft.irfft(spectrum * band, count).astype(np.float32) * _swell(count, rng, float(rng.uniform(1.5, 3)))


def _bursts(count: int, rng: np.random.Generator) -> Samples:
    return _noise(count, rng, 1.0) * (_swell(count, rng, float(rng.uniform(0.2, 0.6))) > 0.6)


def _tone(count: int, rng: np.random.Generator) -> Samples:
    time = np.arange(count) / SAMPLE_RATE
    base = float(rng.uniform(80, 2000))
    tones = [np.sin(2 * np.pi * base * harmonic * time) / harmonic for harmonic in (1, 2, 3)]
    return np.sum(tones, axis=0).astype(np.float32)


def _knocks(count: int, rng: np.random.Generator) -> Samples:
    sound = np.zeros(count, np.float32)
    decay = np.exp(-np.arange(1600) / 200).astype(np.float32)
    for at in rng.integers(0, max(1, count - 1600), max(1, count // SAMPLE_RATE)):
        part = sound[at : at + 1600]
        part += (rng.normal(size=1600) * decay)[: len(part)]
    return sound
