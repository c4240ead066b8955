"""Reads the weights of a CTranslate2 model, so that training can begin with them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

TYPES: Final = (np.float32, np.int8, np.int16, np.int32, np.float16)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(kind, self._content, self._at)
        self._at += struct.calcsize(kind)
        return int(value)

    def text(self) -> str:
        return self.block(self.number("<H"))[:-1].decode()

    def block(self, size: int) -> bytes:
        self._at += size
        return self._content[self._at - size : self._at]


def read_weights(model: Path) -> dict[str, np.ndarray]:
    """Name (parts joined by dots) to float32 array; int8 rows are scaled back. For the binary format's version 6."""
    reader = _Reader((model / "model.bin").read_bytes())
    if (version := reader.number("<I")) != 6:
        raise ValueError(f"model.bin has version {version}, not 6")
    reader.text()
    reader.number("<I")
    stored = dict(_variable(reader) for _ in range(reader.number("<I")))
    return {name: _as_float(name, value, stored) for name, value in stored.items() if not name.endswith("_scale")}


def _variable(reader: _Reader) -> tuple[str, np.ndarray]:
    name = reader.text().replace("/", ".")
    shape = [reader.number("<I") for _ in range(reader.number("<B"))]
    kind = TYPES[reader.number("<B")]
    return name, np.frombuffer(reader.block(reader.number("<I")), kind).reshape(shape)


def _as_float(name: str, value: np.ndarray, stored: dict[str, np.ndarray]) -> np.ndarray:
    scale = stored.get(f"{name}_scale")
    if scale is None:
        return value.astype(np.float32)
    return value.astype(np.float32) / scale.reshape(-1, *[1] * (value.ndim - 1))
