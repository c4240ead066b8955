"""Whisper's architecture in PyTorch, each parameter under the name that CTranslate2 gives it.

So weights go to and fro between a checkpoint and a CTranslate2 model by name alone. The token table has only the rows
that training text uses and one for all other tokens, which conversion spreads over the whole vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.micro.features import BANDS

AUDIO_POSITIONS = 1500
TEXT_POSITIONS = 448


@dataclass(frozen=True)
class Shape:
    """Size of the network."""

    width: int = 144
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 2


class LayerNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta)


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layer_norm = LayerNorm(width)
        self.linear_0 = nn.Linear(width, 3 * width)
        self.linear_1 = nn.Linear(width, width)

    def forward(self, x: Tensor, *, causal: bool) -> Tensor:
        query, key, value = split_heads(self.linear_0(self.layer_norm(x)), 3, self.heads)
        mixed = attend(query, key, value, causal=causal)
        return x + self.linear_1(mixed.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layer_norm = LayerNorm(width)
        self.linear_0 = nn.Linear(width, width)
        self.linear_1 = nn.Linear(width, 2 * width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sum and the attention's weights [batch, heads, text, audio]."""
        (query,) = split_heads(self.linear_0(self.layer_norm(x)), 1, self.heads)
        key, value = split_heads(self.linear_1(audio), 2, self.heads)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))).softmax(-1)
        return x + self.linear_2((weights @ value).transpose(1, 2).flatten(2)), weights


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm = LayerNorm(width)
        self.linear_0 = nn.Linear(width, 4 * width)
        self.linear_1 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear_1(F.gelu(self.linear_0(self.layer_norm(x))))


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, heads)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn(self.self_attention(x, causal=False))


class DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, heads)
        self.attention = CrossAttention(width, heads)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = self.attention(self.self_attention(x, causal=True), audio)
        return self.ffn(x), weights


class Encoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.register_buffer("position_encodings", sinusoids(AUDIO_POSITIONS, shape.width))
        for i in range(shape.encoder_layers):
            self.add_module(f"layer_{i}", EncoderLayer(shape.width, shape.heads))
        self.layer_norm = LayerNorm(shape.width)
        self.depth = shape.encoder_layers

    def forward(self, spectra: Tensor) -> Tensor:
        """[batch, BANDS, frames] to [batch, frames / 2, width]."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(spectra)))).transpose(1, 2)
        x = x + self.position_encodings[: x.size(1)]
        for i in range(self.depth):
            x = self.get_submodule(f"layer_{i}")(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    def __init__(self, shape: Shape, rows: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(rows, shape.width)
        nn.init.normal_(self.embeddings.weight, std=0.05)
        self.position_encodings = nn.Parameter(torch.randn(TEXT_POSITIONS, shape.width) * 0.01)
        for i in range(shape.decoder_layers):
            self.add_module(f"layer_{i}", DecoderLayer(shape.width, shape.heads))
        self.layer_norm = LayerNorm(shape.width)
        self.depth = shape.decoder_layers

    def forward(self, tokens: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Table rows [batch, text] to states [batch, text, width] and the last layer's cross-attention."""
        x = self.embeddings(tokens) + self.position_encodings[: tokens.size(1)]
        weights = x
        for i in range(self.depth):
            x, weights = self.get_submodule(f"layer_{i}")(x, audio)
        return self.layer_norm(x), weights


class Whisper(nn.Module):
    """Encoder and decoder; `helper` reads characters off the encoder for the CTC loss and is not converted."""

    def __init__(self, shape: Shape, *, rows: int, characters: int) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape, rows)
        self.helper = nn.Linear(shape.width, characters)


def attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    """Attention; on a CPU with plain products: for such narrow heads the fused kernel takes thrice their time."""
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    weights = (query / math.sqrt(query.size(-1))) @ key.transpose(-1, -2)
    if causal:
        later = torch.ones(weights.shape[-2:], dtype=torch.bool).triu(1)
        weights = weights.masked_fill(later, -torch.inf)
    return weights.softmax(-1) @ value


def split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    batch, length, _ = x.shape
    return x.view(batch, length, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's fixed position encoding."""
    step = math.log(10_000) / (width // 2 - 1)
    phase = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([phase.sin(), phase.cos()], 1)
