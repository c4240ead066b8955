"""A Whisper of the shape of `base` with random weights: the same arithmetic as the real one, no download."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec

from transcribe.models import MICRO_PATH

WIDTH, HEADS, LAYERS, N_MELS = 512, 8, 6, 80
ENCODER_POSITIONS, DECODER_POSITIONS = 1500, 448


def make_base_shape(folder: Path) -> Path:
    """Write the model (int8, about 75 MB) unless it is there already; tokenizer and languages are micro's."""
    if (folder / "model.bin").is_file():
        return folder
    vocabulary = json.loads((MICRO_PATH / "vocabulary.json").read_text())
    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    _fill(spec, len(vocabulary), np.random.default_rng(0))
    spec.register_vocabulary(vocabulary)
    spec.config.lang_ids = json.loads((MICRO_PATH / "config.json").read_text())["lang_ids"]
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [220, 50257]
    spec.config.alignment_heads = [[layer, head] for layer in range(LAYERS // 2, LAYERS) for head in range(HEADS)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    shutil.copy(MICRO_PATH / "tokenizer.json", folder)
    return folder


def _fill(spec: Any, vocabulary: int, random: np.random.Generator) -> None:
    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.05, shape).astype(np.float32)

    spec.encoder.conv1.weight, spec.encoder.conv1.bias = weights(WIDTH, N_MELS, 3), weights(WIDTH)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = weights(WIDTH, WIDTH, 3), weights(WIDTH)
    spec.encoder.position_encodings.encodings = weights(ENCODER_POSITIONS, WIDTH)
    spec.decoder.position_encodings.encodings = weights(DECODER_POSITIONS, WIDTH)
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = weights(vocabulary, WIDTH)
    for side in (spec.encoder, spec.decoder):
        _normalise(side.layer_norm)
        for layer in side.layer:
            _attention(layer.self_attention, (3, 1), weights)
            if side is spec.decoder:
                _attention(layer.attention, (1, 2, 1), weights)
            _normalise(layer.ffn.layer_norm)
            _linear(layer.ffn.linear_0, 4 * WIDTH, WIDTH, weights)
            _linear(layer.ffn.linear_1, WIDTH, 4 * WIDTH, weights)


def _attention(attention: Any, projections: tuple[int, ...], weights: Any) -> None:
    _normalise(attention.layer_norm)
    for linear, count in zip(attention.linear, projections, strict=True):
        _linear(linear, count * WIDTH, WIDTH, weights)


def _linear(linear: Any, outputs: int, inputs: int, weights: Any) -> None:
    linear.weight, linear.bias = weights(outputs, inputs), weights(outputs)


def _normalise(layer_norm: Any) -> None:
    layer_norm.gamma, layer_norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
