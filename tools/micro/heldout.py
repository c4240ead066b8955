"""The recordings that the evaluation listens to: other seeds, sentences, patterns and voices than the training's."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from tools.micro.data import EVALUATION_SEED, say, training_texts
from tools.micro.noise import RATE, draw_noise, draw_quiet
from tools.micro.sentences import HELD_OUT, LANGUAGES, TRAINING, Grammar, grammar
from tools.micro.voices import Voice, draw_voice

CLIPS_PER_LANGUAGE: Final = 40
QUIET_CLIPS: Final = 100
NAME_CLIPS: Final = 60

Samples = np.ndarray


@dataclass(frozen=True)
class Clip:
    """A message: its sound (float32, 16 kHz), what is said, when each word begins (seconds), and a prompt."""

    language: str
    text: str
    sentences: tuple[str, ...]
    samples: Samples
    word_starts: tuple[float, ...] = ()
    prompt: str = ""


def held_out_sets() -> dict[str, list[Clip]]:
    """Every speech set by name; SystemExit when one of their sentences stands in the training text, or a word does not:
    held out are patterns, and no training can teach words that it never says."""
    known = training_texts()
    sets = {
        "same patterns": speech(known, held_out_patterns=False, held_out_voices=False),
        "held-out sentences": speech(known, held_out_patterns=True, held_out_voices=False),
        "held-out voices": speech(known, held_out_patterns=False, held_out_voices=True),
        "held-out both": speech(known, held_out_patterns=True, held_out_voices=True),
    }
    sets["held-out sentences, noise at 20 dB"] = add_noise(sets["held-out sentences"], decibels=20)
    sets["held-out sentences, noise at 10 dB"] = add_noise(sets["held-out sentences"], decibels=10)
    for name, clips in sets.items():
        sentences = {sentence for clip in clips for sentence in clip.sentences}
        if leaked := known & sentences:
            raise SystemExit(f"{name}: stands in the training text: {sorted(leaked)[:3]}")
        if unknown := words(sentences) - words(known):
            raise SystemExit(f"{name}: words that the training never says: {sorted(unknown)[:9]}")
    return sets


def words(texts: Iterable[str]) -> frozenset[str]:
    """The different words, in lower case without punctuation."""
    return frozenset(word for text in texts for word in re.findall(r"[\w']+", text.lower()))


def speech(known: frozenset[str], *, held_out_patterns: bool, held_out_voices: bool) -> list[Clip]:
    """Messages of one to three sentences, as many in each language."""
    rng = random.Random(EVALUATION_SEED + 2 * held_out_patterns + held_out_voices)
    clips = []
    for number in range(CLIPS_PER_LANGUAGE * len(LANGUAGES)):
        language = grammar(LANGUAGES[number % len(LANGUAGES)])
        voice = draw_voice(language, rng, held_out=held_out_voices)
        count = rng.choices([1, 2, 3], [0.5, 0.35, 0.15])[0]
        texts = [unknown_sentence(language, known, rng, held_out=held_out_patterns) for _ in range(count)]
        clips.append(message(language.language, texts, voice, rng))
    return clips


def unknown_sentence(language: Grammar, known: frozenset[str], rng: random.Random, *, held_out: bool) -> str:
    """A sentence that the training text lacks; names that sound alike are spelled the usual way."""
    while True:
        text = language.draw(rng, HELD_OUT if held_out else TRAINING)
        if text not in known and not unusual_names(language, text):
            return text


def unusual_names(language: Grammar, text: str) -> set[str]:
    """Spellings in the text that only a prompt could ask for."""
    return {name for alike in language.alike for name in alike[1:]} & {word.strip(",.?!¿¡") for word in text.split()}


def message(language: str, texts: list[str], voice: Voice, rng: random.Random, prompt: str = "") -> Clip:
    """The sentences one after another with rests between them."""
    parts: list[Samples] = [rest(rng)]
    starts: list[float] = []
    for text in texts:
        sound, word_starts = say(text, voice)
        begin = sum(map(len, parts)) / RATE
        starts += [begin + start for start in word_starts]
        parts += [sound, rest(rng)]
    return Clip(language, " ".join(texts), tuple(texts), np.concatenate(parts), tuple(starts), prompt)


def rest(rng: random.Random) -> Samples:
    return np.zeros(int(rng.uniform(0.1, 0.6) * RATE), np.float32)


def add_noise(clips: list[Clip], *, decibels: float) -> list[Clip]:
    """The same clips with a noise so far below the speech."""
    rng = np.random.default_rng(EVALUATION_SEED)
    noisy = []
    for clip in clips:
        noise = draw_noise(rng, len(clip.samples) / RATE + 0.1)[: len(clip.samples)]
        spoken = clip.samples[clip.samples != 0]
        gain = np.sqrt(np.mean(spoken**2) / np.mean(noise**2)) * 10 ** (-decibels / 20)
        sound = np.clip(clip.samples + gain * noise, -1, 1).astype(np.float32)
        noisy.append(Clip(clip.language, clip.text, clip.sentences, sound, clip.word_starts))
    return noisy


def quiet_clips() -> list[Samples]:
    """Recordings in which nobody speaks, 1 to 12 s long."""
    rng = np.random.default_rng(EVALUATION_SEED + 10)
    return [draw_quiet(rng, float(rng.uniform(1, 12))) for _ in range(QUIET_CLIPS)]


def name_clips() -> list[Clip]:
    """Sentences with a name that is spelled in an unusual way, and a prompt that says how."""
    known = training_texts()
    rng = random.Random(EVALUATION_SEED + 11)
    clips: list[Clip] = []
    while len(clips) < NAME_CLIPS:
        language = grammar(LANGUAGES[len(clips) % len(LANGUAGES)])
        text = language.draw(rng, rng.choice([HELD_OUT, TRAINING]))
        names = unusual_names(language, text)
        if text in known or len(names) != 1:
            continue
        others = rng.sample(language.slots["plain"], 2)
        prompt = ", ".join(rng.sample([*names, *others], 3))
        voice = draw_voice(language, rng, held_out=False)
        clips.append(message(language.language, [text], voice, rng, prompt))
    return clips
