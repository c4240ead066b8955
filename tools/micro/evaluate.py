"""Step `evaluate`: word errors, language, word times, names and silence on recordings that the training never heard."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import jiwer
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from tools.micro.heldout import Clip, held_out_sets, name_clips, quiet_clips
from tools.micro.sentences import LANGUAGES
from transcribe import Clip as Recording
from transcribe import TranscribeSettings, Transcript, load_engine

FULL = 3000
BUCKET = 100
MELS = 80
TAILS = {"full": None, "tail 1 s": 100, "tail 2.5 s": 250}


@dataclass(frozen=True)
class Heard:
    """What the model made of a clip; word_starts in seconds."""

    language: str
    text: str
    word_starts: tuple[float, ...] = ()


class Listener:
    """Greedy decoding on an encoder context of a chosen length."""

    def __init__(self, model: Path, threads: int) -> None:
        self.whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=threads)
        self.tokenizer = Tokenizer(self.whisper.hf_tokenizer, True, task="transcribe", language="en")

    def listen(self, clip: Clip, tail: int | None, *, words: bool = False, prompted: bool = False) -> Heard:
        """Transcribes with `tail` frames after the speech in steps of BUCKET, or with the full 30 s."""
        features = self.whisper.feature_extractor(clip.samples)[:, :FULL]
        length = FULL if tail is None else min(FULL, -(-(features.shape[1] + tail) // BUCKET) * BUCKET)
        padded = np.zeros((1, MELS, length), np.float32)
        padded[0, :, : features.shape[1]] = features
        encoded = self.whisper.model.encode(ctranslate2.StorageView.from_array(padded))
        language = self.whisper.model.detect_language(encoded)[0][0][0]
        special = self.tokenizer.tokenizer.token_to_id
        start = [special("<|startoftranscript|>"), special(language), self.tokenizer.transcribe]
        prompt = [self.tokenizer.sot_prev, *self.tokenizer.encode(" " + clip.prompt)] if prompted else []
        said = self.whisper.model.generate(
            encoded,
            [[*prompt, *start, self.tokenizer.no_timestamps]],
            beam_size=1,
            max_length=200,
            suppress_tokens=[-1],
        )[0]
        tokens = [token for token in said.sequences_ids[0] if token < self.tokenizer.eot]
        starts = self._word_starts(encoded, start, tokens, features.shape[1]) if words and tokens else ()
        return Heard(language[2:-2], self.tokenizer.decode(tokens).strip(), starts)

    def _word_starts(
        self, encoded: ctranslate2.StorageView, start: list[int], tokens: list[int], frames: int
    ) -> tuple[float, ...]:
        found = self.whisper.model.align(encoded, start, [tokens], frames, median_filter_width=7)[0].alignments
        first = {token: 0.02 * time for token, time in reversed(found)}
        begins = [i for i, token in enumerate(tokens) if i == 0 or self.tokenizer.decode([token]).startswith(" ")]
        return tuple(first.get(i, 0.0) for i in begins)


def evaluate(model: Path, report: Path, threads: int) -> None:
    """Prints each measure as it is known and writes all of them as JSON."""
    listener = Listener(model, threads)
    results: dict[str, object] = {}
    for name, clips in held_out_sets().items():
        for context, tail in TAILS.items():
            heard = [listener.listen(clip, tail, words=context == "tail 1 s") for clip in clips]
            results[f"{name}, {context}"] = measure = score(clips, heard)
            print(f"{name}, {context}: {measure}", flush=True)
    results["names"] = score_names(listener, name_clips())
    print("names:", results["names"], flush=True)
    results["quiet"] = score_quiet(listener, model)
    print("quiet:", results["quiet"], flush=True)
    report.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def score(clips: list[Clip], heard: list[Heard]) -> dict[str, float]:
    """Word error rates and language accuracy in percent, and the median error of a word's beginning in milliseconds."""
    texts: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for clip, result in zip(clips, heard, strict=True):
        for key in (clip.language, "all"):
            texts[key][0].append(plain(clip.text))
            texts[key][1].append(plain(result.text))
    rates = {key: round(100 * jiwer.wer(*texts[key]), 1) for key in (*LANGUAGES, "all")}
    right = np.mean([clip.language == result.language for clip, result in zip(clips, heard, strict=True)])
    late = [
        abs(a - b)
        for clip, result in zip(clips, heard, strict=True)
        if plain(clip.text) == plain(result.text) and len(clip.word_starts) == len(result.word_starts)
        for a, b in zip(clip.word_starts, result.word_starts, strict=True)
    ]
    return {**rates, "language": round(100 * float(right), 1)} | (
        {"word_ms": round(1000 * float(np.median(late)))} if late else {}
    )


def score_names(listener: Listener, clips: list[Clip]) -> dict[str, float]:
    """How often (percent) the unusual spelling is written without and with a prompt that names it."""
    found = {}
    for prompted in (False, True):
        heard = [plain(listener.listen(clip, 100, prompted=prompted).text).split() for clip in clips]
        wanted = [set(plain(clip.prompt).split()) & set(plain(clip.text).split()) for clip in clips]
        hits = [bool(names & set(text)) for names, text in zip(wanted, heard, strict=True)]
        found["prompted" if prompted else "unprompted"] = round(100 * float(np.mean(hits)), 1)
    return found


def score_quiet(listener: Listener, model: Path) -> dict[str, float]:
    """How many recordings without speech become text: through the product's gate, and by the bare model."""
    clips = quiet_clips()
    engine = load_engine(TranscribeSettings(model=str(model)))
    outcomes = engine.transcribe([Recording(samples) for samples in clips])
    engine.close()
    gated = sum(isinstance(outcome, Transcript) and bool(outcome.text) for outcome in outcomes)
    bare = sum(bool(listener.listen(Clip("en", "", (), samples), 100).text) for samples in clips)
    return {"clips": len(clips), "text through the gate": gated, "text from the bare model": bare}


def plain(text: str) -> str:
    """Lower case without punctuation."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split())
