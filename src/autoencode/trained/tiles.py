"""Trained models on images of any size, in tiles where an image is too large for the memory at once.

A model whose pixels depend on what is near them is given tiles that overlap by that much, and what is
kept of each is what it would be without tiles. A model that looks at the whole of what it is given, as
one with group normalisation does, is given tiles of the size that it was trained on, half over each
other, and what they say of a pixel is averaged, more of it where the pixel is near a tile's middle.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from autoencode.data.values.patches import starts
from autoencode.errors import DataError
from autoencode.files.free_memory import available_memory, human, require_memory
from autoencode.models import AutoencoderModule
from autoencode.recipes.any_size import at_size, bytes_of_pixel, reach, stride_of
from autoencode.trained.trained import Trained
from autoencode.training.processor import tuned
from autoencode.types import Array

TILE = 512  # pixels of a tile's side at most, without what it overlaps
_SHARE = 1 / 4  # of the free memory, for the maps of a tile
_SIZES = 16  # of which models are kept
_TOGETHER = 16  # tiles of the size of training
_REMEDY = "use a smaller image, or allow more (AUTOENCODE_MEMORY)"


@dataclass(frozen=True)
class Span:
    """A stretch of a side: what a tile sees of it, and what is kept of the tile's result."""

    start: int
    stop: int
    first: int
    last: int


def spans(side: int, tile: int, overlap: int) -> list[Span]:
    """Divides a side into stretches of ``tile`` that see ``overlap`` more on both sides.

    >>> spans(10, 4, 1)
    [Span(start=0, stop=5, first=0, last=4), Span(start=3, stop=9, first=4, last=8), \
Span(start=7, stop=10, first=8, last=10)]
    """
    return [
        Span(max(0, at - overlap), min(side, at + tile + overlap), at, min(side, at + tile))
        for at in range(0, side, tile)
    ]


class AnySize:
    """A trained model for images of any size.

    Args:
        trained: a model whose weights do not depend on the size (``takes_any_size``).

    Raises:
        IncompatibleError: for another one, when it is called.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained, recipe = trained, trained.recipe
        found = reach(recipe)
        self.stride = stride_of(recipe)
        # A tile begins where the coarsest map has a place, or its grid would be another one.
        self.overlap = None if found is None else -(-found // self.stride) * self.stride
        self._cost = bytes_of_pixel(recipe)
        self._at = functools.lru_cache(_SIZES)(functools.partial(at_size, recipe))

    def reconstruct(self, x: Array, name: str = "image") -> Array:
        """Reconstructs an image (C, H, W) in the data's own units, at its own size; float32.

        Args:
            x: its values, in the units of the training data.
            name: what to call it in an error.

        Raises:
            DataError: it has other channels than the model takes, or needs more memory than is free.
        """
        channels = self.trained.spec.shape[0]
        if x.ndim != 3 or x.shape[0] != channels:
            raise DataError(
                f"{name}: expected an image of {channels} channels, got {' x '.join(map(str, x.shape))}"
            )
        require_memory(3 * 4 * x.size, name, _REMEDY)
        out: Array = np.zeros(x.shape, np.float32)
        if self.overlap is None:
            self._blend(x, out)
            return out
        tile = self._tile(name)
        _, height, width = x.shape
        for down, across in product(*(spans(n, tile, self.overlap) for n in (height, width))):
            seen = x[:, down.start : down.stop, across.start : across.stop]
            found = self._run(seen[None])[0]
            kept = found[:, down.first - down.start :, across.first - across.start :]
            rows, columns = down.last - down.first, across.last - across.first
            out[:, down.first : down.last, across.first : across.last] = kept[:, :rows, :columns]
        return out

    def _tile(self, name: str) -> int:
        """The side of tiles that memory has room for, what they overlap not counted."""
        assert self.overlap is not None
        free = available_memory()
        side = TILE
        if free is not None:
            side = min(side, math.isqrt(int(free * _SHARE) // self._cost) - 2 * self.overlap)
        side -= side % self.stride
        if side < self.stride:
            needed = (self.stride + 2 * self.overlap) ** 2 * self._cost
            raise DataError(
                f"{name}: a tile of it needs {human(int(needed / _SHARE))} of memory and "
                f"{human(free or 0)} are free; {_REMEDY}"
            )
        return side

    def _blend(self, x: Array, out: Array) -> None:
        """Fills ``out`` with the mean of tiles of the size of training, the middle counting most."""
        size = [
            min(n, wanted) for n, wanted in zip(x.shape[1:], self.trained.spec.shape[1:], strict=True)
        ]
        tops, lefts = (_overlapping(n, side) for n, side in zip(x.shape[1:], size, strict=True))
        weight = np.outer(*(_ramp(side) for side in size)).astype(np.float32)
        total: Array = np.zeros(x.shape[1:], np.float32)
        for places in _in_groups(list(product(tops, lefts)), _TOGETHER):
            cut = [(slice(top, top + size[0]), slice(left, left + size[1])) for top, left in places]
            made = self._run(np.stack([x[:, rows, columns] for rows, columns in cut]))
            for (rows, columns), one in zip(cut, made, strict=True):
                out[:, rows, columns] += one * weight
                total[rows, columns] += weight
        out /= total

    def _run(self, x: Array) -> Array:
        """Reconstructs images (N, C, h, w) of one size."""
        trained = self.trained
        model: AutoencoderModule = self._at(*x.shape[2:]).eval()
        with tuned(trained.device), torch.inference_mode():
            raw = torch.from_numpy(np.ascontiguousarray(x, np.float32))
            seen = trained.spec.seen_on(trained.device, raw)
            found: Tensor = trained.spec.to_raw(model.reconstruct(seen))
            made: Array = found.cpu().numpy()
            return made


def _overlapping(side: int, tile: int) -> list[int]:
    """Where tiles begin along a side that lie half over each other."""
    step = max(1, tile // 2)
    return sorted({*starts(side, tile), *range(0, side - tile, step)})


def _ramp(side: int) -> Array:
    """Weights that rise from the ends of a tile to its middle."""
    return np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)


def _in_groups(items: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
