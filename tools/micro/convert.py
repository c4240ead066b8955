"""Step `convert`: a checkpoint to a CTranslate2 int8 model that faster_whisper.WhisperModel loads as it stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from ctranslate2.specs.whisper_spec import WhisperSpec
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter
from whisper.tokenizer import LANGUAGES

from tools.micro.train import ALIGNMENT_HEADS
from tools.micro.vocabulary import SIZE, TEXT_TOKENS, whisper_tokenizer

# GPT-2's rule of where a token may begin, which tiktoken keeps in code and not in its file.
SPLIT = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
PROBE = " Hallo Anna, ¿qué tal? Let's meet at three."


def convert(trained: Path, folder: Path) -> None:
    """Writes model, vocabulary, tokenizer and config; replaces what is in the folder."""
    saved = torch.load(trained, map_location="cpu")
    weights = {name: value.float().numpy() for name, value in saved["model"].items()}
    spec = fill_spec(weights, saved["shape"], saved["tokens"])
    tokenizer = make_tokenizer()
    ids = tokenizer.get_vocab()
    stamps = [f"<|{i * 0.02:.2f}|>" for i in range(SIZE - len(ids))]
    spec.register_vocabulary([*sorted(ids, key=lambda token: ids[token]), *stamps])
    for name, value in config(saved["shape"]).items():
        setattr(spec.config, name, value)
    spec.validate()
    spec.optimize(quantization="int8")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    minify(folder)


def fill_spec(weights: dict[str, np.ndarray], shape: dict[str, int], tokens: list[int]) -> WhisperSpec:
    """CTranslate2's description of the network, with the weights in it."""
    spec = WhisperSpec(shape["encoder_layers"], shape["heads"], shape["decoder_layers"], shape["heads"])
    rows = weights["decoder.embeddings.weight"]
    table = np.tile(rows[-1], (SIZE, 1))
    table[tokens] = rows[:-1]
    weights = {name: value for name, value in weights.items() if not name.startswith("helper.")}
    weights |= {"decoder.embeddings.weight": table, "decoder.projection.weight": table}
    for side in ("encoder", "decoder"):
        weights[f"{side}.position_encodings.encodings"] = weights.pop(f"{side}.position_encodings")
    for name, value in weights.items():
        *path, last = name.split(".")
        setattr(follow(spec, path), last, value)
    return spec


def follow(spec: Any, path: list[str]) -> Any:
    """The part of a specification at a path, in which layer_2 may be the third of a list."""
    for part in path:
        name, _, number = part.rpartition("_")
        spec = getattr(spec, part) if hasattr(spec, part) else getattr(spec, name)[int(number)]
    return spec


def make_tokenizer() -> Tokenizer:
    """Whisper's tokenizer for the tokenizers library, from openai-whisper's own file."""
    reference = whisper_tokenizer()
    special = [reference.encoding.decode([i]) for i in range(TEXT_TOKENS, reference.timestamp_begin)]
    ranks = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    tokenizer = TikTokenConverter(vocab_file=str(ranks), pattern=SPLIT, extra_special_tokens=special).converted()
    if tokenizer.encode(PROBE, add_special_tokens=False).ids != reference.encoding.encode(PROBE):
        raise SystemExit("the converted tokenizer does not give Whisper's ids")
    return tokenizer


def config(shape: dict[str, int]) -> dict[str, Any]:
    """What faster-whisper and CTranslate2 want to know besides the weights."""
    tokenizer = whisper_tokenizer()
    languages = [name for name in LANGUAGES if name != "yue"]
    return {
        "suppress_ids": [],
        # The end of the text is not suppressed: this model is trained to say nothing where nobody speaks.
        "suppress_ids_begin": [220],
        "alignment_heads": [[shape["decoder_layers"] - 1, head] for head in range(ALIGNMENT_HEADS)],
        "lang_ids": sorted(tokenizer.to_language_token(name) for name in languages),
    }


def minify(folder: Path) -> None:
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), "utf-8")
