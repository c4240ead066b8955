"""What the encoder made of a row group. It stays where it was computed until rows are regrouped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt


@dataclass
class Encoded:
    """`parts` are StorageViews of (rows, positions, width), in the order of the group's rows."""

    parts: Sequence[Any]

    def rows(self, slots: Sequence[int]) -> Any:
        """A StorageView of these rows of the group, in ascending order."""
        if len(self.parts) == 1 and len(slots) == self.parts[0].shape[0]:
            return self.parts[0]
        return ctranslate2.StorageView.from_array(np.stack([self._host[slot] for slot in slots]))

    @cached_property
    def _host(self) -> list[npt.NDArray[np.floating[Any]]]:
        on_host = [part if part.device == "cpu" else part.to_device(ctranslate2.Device.cpu) for part in self.parts]
        return [row for part in on_host for row in np.asarray(part)]
