"""Voice messages put together from the corpus: sentences, rests, a prompt, and what Whisper should say."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from tools.micro.augment import distort, quiet
from tools.micro.corpus import Corpus, Line
from tools.micro.features import BANDS, FLOOR, FRAMES_PER_SECOND
from tools.micro.sentences import LANGUAGES, grammar
from tools.micro.vocabulary import whisper_tokenizer

WINDOW = 3000
PROMPT_TOKENS = 60


@dataclass(frozen=True)
class Plan:
    """Which lines stand where (frames); none of them is a message without speech."""

    lines: list[tuple[int, Line]]
    frames: int


@dataclass
class Example:
    """A message for the network: spectra [frames, BANDS], Whisper's tokens, and for each what it should say next.

    target is -1 where nothing is asked; span is the encoder's positions of the word that is said next, or None.
    """

    spectra: np.ndarray
    tokens: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    spans: list[tuple[float, float] | None] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)

    def say(self, token: int, target: int, span: tuple[float, float] | None = None) -> None:
        self.tokens.append(token)
        self.targets.append(target)
        self.spans.append(span)


def draw_plan(corpus: Corpus, rng: random.Random, wanted: int) -> Plan:
    """A message of so many sentences; one speaker says the first six, and so on."""
    names = list(corpus.languages)
    language = rng.choices(names, [grammar(name).share for name in names])[0]
    lines: list[Line] = []
    while len(lines) < wanted:
        group = corpus.groups[rng.choice(corpus.languages[language])]
        lines += rng.sample(group, min(len(group), wanted - len(lines)))
    return _lay_out(lines, rng)


def _lay_out(lines: list[Line], rng: random.Random) -> Plan:
    position = rng.choice([0, 0, rng.randint(0, 40), rng.randint(0, 120)])
    spelled: dict[tuple[str, ...], str] = {}
    placed: list[tuple[int, Line]] = []
    for line in lines:
        agrees = all(spelled.get(alike, name) == name for alike, name in line.spellings.items())
        if not agrees or position + line.frames > WINDOW:
            continue
        spelled |= line.spellings
        placed.append((position, line))
        position += line.frames + rng.randint(8, rng.choice([30, 60, 130]))
    end = placed[-1][0] + placed[-1][1].frames + rng.choice([0, rng.randint(0, 60)])
    return Plan(placed, min(end, WINDOW))


def make_example(plan: Plan, corpus: Corpus, rng: random.Random, distortion: float) -> Example:
    """The message's sound, distorted anew each time, and its text with or without timestamps and prompt."""
    noise = np.random.default_rng(rng.getrandbits(64))
    if not plan.lines:
        return _without_speech(quiet(plan.frames, noise), rng)
    spectra = np.full((plan.frames, BANDS), FLOOR, np.float32)
    for start, line in plan.lines:
        spectra[start : start + line.frames] = line.spectra
    example = Example(distort(spectra, noise, distortion).astype(np.float32))
    _say_prompt(example, plan, corpus, rng)
    _say_text(example, plan, stamped=rng.random() < 0.5)
    return example


def _without_speech(spectra: np.ndarray, rng: random.Random) -> Example:
    tokenizer = whisper_tokenizer()
    example = Example(spectra.astype(np.float32))
    example.say(tokenizer.sot, tokenizer.no_speech)
    example.say(tokenizer.to_language_token(rng.choice(LANGUAGES)), -1)
    first = rng.choice([tokenizer.no_timestamps, tokenizer.timestamp_begin])
    example.say(tokenizer.transcribe, first)
    example.say(first, tokenizer.eot)
    return example


def _say_text(example: Example, plan: Plan, *, stamped: bool) -> None:
    tokenizer = whisper_tokenizer()
    said: list[tuple[int, tuple[float, float] | None]] = [] if stamped else [(tokenizer.no_timestamps, None)]
    for start, line in plan.lines:
        if stamped:
            said.append((tokenizer.timestamp_begin + start // 2, None))
        seconds = start / FRAMES_PER_SECOND
        said += [
            (t, (50 * (seconds + a), 50 * (seconds + b))) for t, (a, b) in zip(line.tokens, line.spans, strict=True)
        ]
        if stamped:
            said.append((tokenizer.timestamp_begin + (start + line.frames) // 2, None))
        example.characters += [*([1] if example.characters else []), *line.characters]
    said.append((tokenizer.eot, None))
    language = tokenizer.to_language_token(plan.lines[0][1].language)
    example.say(tokenizer.sot, language)
    example.say(language, -1)
    token = tokenizer.transcribe
    for following, span in said:
        example.say(token, following, span)
        token = following


def _say_prompt(example: Example, plan: Plan, corpus: Corpus, rng: random.Random) -> None:
    prompt = _prompt(plan, corpus, rng)
    if not prompt:
        return
    tokenizer = whisper_tokenizer()
    for token in [tokenizer.sot_prev, *tokenizer.encoding.encode(" " + prompt)[-PROMPT_TOKENS:]]:
        example.say(token, -1)


def _prompt(plan: Plan, corpus: Corpus, rng: random.Random) -> str:
    """Names that decide between spellings that sound alike; where there are none, now and then other names or text."""
    language = plan.lines[0][1].language
    spelled = {alike: name for _, line in plan.lines for alike, name in line.spellings.items()}
    needed = [name for alike, name in spelled.items() if name != alike[0]]
    draw = rng.random()
    if not needed and draw > 0.2:
        return ""
    if not needed and draw < 0.06:
        line = rng.choice(corpus.groups[rng.choice(corpus.languages[language])])
        return line.text if all(spelled.get(alike, name) == name for alike, name in line.spellings.items()) else ""
    return _list_of_names(needed, spelled, language, rng)


def _list_of_names(needed: list[str], spelled: dict[tuple[str, ...], str], language: str, rng: random.Random) -> str:
    others = [name for name in grammar(language).slots["plain"] if rng.random() < 0.08]
    others += [rng.choice(alike) for alike in grammar(language).alike if alike not in spelled and rng.random() < 0.12]
    usual = [name for alike, name in spelled.items() if name == alike[0] and rng.random() < 0.5]
    names = list(dict.fromkeys([*needed, *usual, *rng.sample(others, min(len(others), rng.randint(0, 5)))]))
    rng.shuffle(names)
    return rng.choice([", ", ", ", " "]).join(names) + rng.choice(["", "."]) if names else ""
