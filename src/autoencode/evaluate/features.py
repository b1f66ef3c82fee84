"""Fixed and named feature spaces, in which samples are compared with real examples.

::

    images  (B, C, H, W) ──► mean over channels ──► Gabor filters, modulus ──► the same again ──► pooled
                        └──► every channel, pooled                             `filters-v1`
    columns (B, *D) ─────► one column for each number or category              `columns-v1`

Nothing in them is learned, downloaded or drawn, but for the signs that bring very wide rows to ``MOST``
features. They are standardised by the real examples they are used with. Whoever has better ones (a
trained network) passes them: any callable of x.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.nets.reader import reader_for
from autoencode.types import DataSpec, is_traced

IMAGES, COLUMNS = "filters-v1", "columns-v1"
MOST = 1024  # features; wider rows are projected
_LEVELS, _DIRECTIONS, _WAVELENGTH, _WIDTH, _REACH = 3, 4, 4.0, 1.6, 3
_SMALLEST, _LARGEST = 16, 64  # pixels of a side
_GRIDS = (8, 4, 2)  # of the values, the first filters and the second
_FLOOR = 0.1  # of a block's root mean square deviation: the least that a feature is divided by
_TAP = 1 << 16  # filters are multiples of its inverse, so that they are the same bits everywhere
_SIGNS_SEED = 20170626


class Features(Protocol):
    """A callable or ``nn.Module`` from examples (B, *D) as a model sees them to features (B, F).

    It may have a ``name``, which is printed beside the figures.
    """

    def __call__(self, x: Tensor) -> Any: ...


@dataclass(frozen=True)
class Space:
    """Features and how they are made comparable.

    Attributes:
        name: with its version; figures of different names cannot be compared.
        function: examples (B, *D) as a model sees them to features (B, F).
        blocks: widths of the groups of features that are of one kind, which are standardised by the
            real examples; ``None`` for features that are used as they are.
        device: where the function computes.
    """

    name: str
    function: Callable[[Tensor], Any]
    blocks: tuple[int, ...] | None = None
    device: torch.device | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Computes features (B, F) in float32, on the CPU."""
        found = torch.as_tensor(self.function(x if self.device is None else x.to(self.device)))
        if found.dim() < 2 or len(found) != len(x):
            raise IncompatibleError(
                f"features '{self.name}' gave shape {tuple(found.shape)} for {len(x)} examples; "
                "give one row for each"
            )
        return found.detach().flatten(1).float().cpu()

    def standardized(self, features: Tensor, real: Tensor) -> Tensor:
        """Standardises features (N, F) by mean and deviation of those of real examples (M, F).

        A deviation counts as at least a tenth of the root mean square of its block: a feature that
        hardly varies among real examples may vary among others, and must not outweigh all else.
        """
        if self.blocks is None:
            return features
        deviation = real.double().std(0, correction=0)
        parts = deviation.split(list(self.blocks))
        least = [part.square().mean().sqrt().expand_as(part) * _FLOOR for part in parts]
        scale = torch.maximum(deviation, torch.cat(least)).clamp_min(1e-12)
        return ((features - real.double().mean(0)) / scale).float()


def space_of(spec: DataSpec) -> Space:
    """Chooses the built-in space for some data: ``filters-v1`` for images, else ``columns-v1``.

    >>> space = space_of(DataSpec((3, 20, 30)))
    >>> space.name, space(torch.rand(5, 3, 20, 30)).shape
    ('filters-v1', torch.Size([5, 576]))

    Raises:
        IncompatibleError: for data with gaps, which samples do not have.
    """
    if spec.gaps:
        raise IncompatibleError("the data have gaps and samples have none, so they cannot be compared")
    if spec.layout == "image":
        function, widths = filters, _widths(spec.shape[0])
        return _narrow(Space(IMAGES, function, widths))
    reader = reader_for(spec)
    width = spec.size if reader is None else math.prod(reader.shape)

    def columns(x: Tensor) -> Tensor:
        return (x if reader is None else reader(x.cpu())).flatten(1)

    return _narrow(Space(COLUMNS, columns, (width,)))


def as_space(features: Features) -> Space:
    """Makes a space of somebody's own features, used as they are."""
    name = str(
        getattr(features, "name", None) or getattr(features, "__name__", type(features).__name__)
    )
    device = None
    if isinstance(features, nn.Module):
        features.eval()
        first = next(features.parameters(), None)
        device = None if first is None else first.device
    return Space(name, features, None, device)


@functools.cache
@torch.inference_mode(False)  # so that what is kept can be differentiated through as well
def filter_bank() -> Tensor:
    """Builds Gabor filters of wavelength 4 pixels in four directions, even and odd, (8, 1, 7, 7).

    Every filter sums to zero and its absolute values to one, up to the rounding that makes them the
    same bits on every machine.
    """
    line = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    window = torch.exp(-(x.square() + y.square()) / (2 * _WIDTH**2))
    found = []
    for k in range(_DIRECTIONS):
        angle = math.pi * k / _DIRECTIONS
        phase = 2 * math.pi / _WAVELENGTH * (x * math.cos(angle) + y * math.sin(angle))
        even, odd = window * phase.cos(), window * phase.sin()
        even = even - window * (even.sum() / window.sum())
        found += [even / even.abs().sum(), odd / odd.abs().sum()]
    taps = (torch.stack(found) * _TAP).round() / _TAP
    return taps.float().unsqueeze(1)


def filters(x: Tensor) -> Tensor:
    """Turns images (B, C, H, W) of any size and number of channels into features (B, 64 C + 384).

    A scattering-like transform (Invariant Scattering Convolution Networks, Bruna & Mallat, 2013,
    https://arxiv.org/abs/1203.1513): the channels pooled to 8 x 8; the mean channel at three scales
    through ``filter_bank``, modulus of each even and odd pair, pooled to 4 x 4; those moduli through
    the same filters at all coarser scales, modulus, pooled to 2 x 2. Sides below 16 pixels are enlarged
    to 16, those above 64 made 64.

    >>> filters(torch.zeros(2, 1, 28, 28)).abs().max().item() < 1e-5
    True
    """
    x = _sized(x.float())
    levels = list(_halvings(x.mean(1, keepdim=True)))
    first = [_moduli(level) for level in levels]
    second = []
    for i, moduli in enumerate(first[:-1]):
        for coarser in list(_halvings(moduli, _LEVELS - i))[1:]:
            second.append(_moduli(coarser))
    orders = ([x], first, second)
    pooled = [
        F.adaptive_avg_pool2d(one, grid).flatten(1)
        for maps, grid in zip(orders, _GRIDS, strict=True)
        for one in maps
    ]
    return torch.cat(pooled, dim=1)


def _widths(channels: int) -> tuple[int, ...]:
    pairs = _LEVELS * (_LEVELS - 1) // 2
    maps = (channels, _LEVELS * _DIRECTIONS, pairs * _DIRECTIONS**2)
    return tuple(n * grid**2 for n, grid in zip(maps, _GRIDS, strict=True))


def _sized(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    wanted = tuple(min(max(side, _SMALLEST), _LARGEST) for side in (height, width))
    if wanted == (height, width):
        return x
    return F.interpolate(x, wanted, mode="bilinear", antialias=True)


def _halvings(x: Tensor, n: int = _LEVELS) -> Iterator[Tensor]:
    """Shrinks x to n scales, each half as large as the one before."""
    for i in range(n):
        x = F.avg_pool2d(x, 2, ceil_mode=True) if i else x
        yield x


def _moduli(x: Tensor) -> Tensor:
    """Turns maps (B, M, H, W) into the moduli of their filtered maps, (B, 4 M, H, W)."""
    b, m, height, width = x.shape
    wide = F.pad(x.reshape(b * m, 1, height, width), (_REACH,) * 4, mode="replicate")
    bank = filter_bank.__wrapped__() if is_traced(x) else filter_bank()
    pairs = F.conv2d(wide, bank.to(x.device)).view(b, m, _DIRECTIONS, 2, height, width)
    return pairs.square().sum(3).sqrt().reshape(b, m * _DIRECTIONS, height, width)


def _narrow(space: Space) -> Space:
    """Narrows a space to at most ``MOST`` features, wider ones by a matrix of random signs."""
    wide = sum(space.blocks or ())
    if wide <= MOST:
        return space

    def project(x: Tensor) -> Tensor:
        wide_rows: Tensor = space.function(x)
        signs = _signs.__wrapped__ if is_traced(wide_rows) else _signs
        return wide_rows.cpu() @ signs(wide)

    return Space(f"{space.name}, {wide} features projected to {MOST}", project, (MOST,))


@functools.lru_cache(maxsize=2)
@torch.inference_mode(False)
def _signs(wide: int) -> Tensor:
    """Builds a matrix (wide, MOST) of plus and minus 1 / sqrt(MOST), the same bits everywhere.

    Only the raw numbers of a bit generator are promised to stay the same in all versions of numpy.
    """
    raw = np.random.PCG64(_SIGNS_SEED).random_raw(-(-wide * MOST // 64)).astype("<u8")
    bits = np.unpackbits(raw.view(np.uint8), bitorder="little")[: wide * MOST]
    signs: Tensor = torch.from_numpy(bits.astype(np.float32) * 2 - 1).view(wide, MOST)
    return signs / math.sqrt(MOST)
