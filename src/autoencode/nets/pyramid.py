"""Residual convolutional networks at ever coarser resolutions, for images of any size.

The networks of Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images
(Child, 2021), https://arxiv.org/abs/2011.10650.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.errors import IncompatibleError
from autoencode.types import layout_of

_COARSE = 4  # a map of no longer sides is followed by a single position
_SMALLEST = 1e-3  # mean square that is scaled to one
_POINTWISE = 2  # sides of maps that 3x3 convolutions would mostly pad


def resolutions(shape: tuple[int, ...], patch: int = 1) -> list[tuple[int, int]]:
    """Lists the sizes of an image's maps: its patches, halves (rounded up) down to 4, then 1.

    >>> resolutions((1, 28, 28))
    [(28, 28), (14, 14), (7, 7), (4, 4), (1, 1)]
    """
    if layout_of(shape) != "image":
        raise IncompatibleError(
            f"convolutions need images (channels, height, width), got examples of shape "
            f"{'x'.join(map(str, shape))}; use an MLP recipe, or give the data "
            "as images (layout=image)"
        )
    sizes = [(-(-shape[1] // patch), -(-shape[2] // patch))]
    while max(sizes[-1]) > _COARSE:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes if sizes[-1] == (1, 1) else [*sizes, (1, 1)]


class UnitScale(nn.Module):
    """A layer that divides each position of a map (N, C, H, W) by its root mean square over channels.

    Root Mean Square Layer Normalization (Zhang & Sennrich, 2019), https://arxiv.org/abs/1910.07467
    """

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * (x.square().mean(1, keepdim=True) + _SMALLEST).rsqrt()
        return scaled


def residual_block(
    inputs: int, inner: int, outputs: int, size: tuple[int, int], scale: float = 1.0
) -> nn.Sequential:
    """Makes 1x1, 3x3, 3x3 and 1x1 convolutions, each after a GELU; only 1x1 ones on the smallest maps.

    What comes in is scaled first, so that what goes out can't grow with a stream that it is added to.

    Args:
        inputs, inner, outputs: channels.
        size: of the map.
        scale: of the last weights at the start.
    """
    kernel = 3 if max(size) > _POINTWISE else 1
    widths = [(inputs, inner, 1), (inner, inner, kernel), (inner, inner, kernel), (inner, outputs, 1)]
    layers: list[nn.Module] = [UnitScale()]
    for before, after, k in widths:
        convolution = nn.Conv2d(before, after, k, padding=k // 2)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers += [nn.GELU(), convolution]
    with torch.no_grad():
        convolution.weight.mul_(scale)
    return nn.Sequential(*layers)


class Shortcut(nn.Module):
    """A network with a shortcut, which adds its input to its output.

    Args:
        network: (N, C, H, W) to the same.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = x + self.network(x)
        return sum_


class Smaller(nn.Module):
    """A layer that averages each 2x2 pixels, fewer at an odd edge; all of them before a 1x1 map."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if self.size == (1, 1):
            return x.mean(dim=(2, 3), keepdim=True)
        return F.avg_pool2d(x, 2, ceil_mode=True)


class Larger(nn.Module):
    """A layer that enlarges a map by nearest pixels and adds a learned map.

    Args:
        channels: of both maps.
        size: height and width of the larger one.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.bias = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size) + self.bias


class PyramidEncoder(nn.Module):
    """A residual convolutional encoder; features (B, F) are its map of each resolution, finest first.

    A map has its channels last, as convolutions keep them in memory.

    Args:
        shape: (channels, height, width).
        width: channels of every map.
        inner: channels inside the blocks.
        blocks: how many there are at each resolution.
        patch: side of the squares of pixels that the finest map has a position for.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int, inner: int, blocks: Sequence[int], patch: int = 1
    ) -> None:
        super().__init__()
        sizes = resolutions(shape, patch)
        self.maps = [(*size, width) for size in sizes]
        self.features = sum(map(math.prod, self.maps))
        self.patch = patch
        rows, columns = sizes[0]
        self.border = (0, columns * patch - shape[2], 0, rows * patch - shape[1])
        self.input = nn.Conv2d(shape[0] * patch**2, width, 3, padding=1)
        scale = sum(blocks) ** -0.5
        self.stages = nn.ModuleList()
        for i, (size, count) in enumerate(zip(sizes, blocks, strict=True)):
            stage: list[nn.Module] = [Smaller(size)] if i else []
            for _ in range(count):
                stage.append(Shortcut(residual_block(width, inner, width, size, scale)))
            self.stages.append(nn.Sequential(*stage))

    def forward(self, x: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(F.pad(x, self.border), self.patch)
        h, maps = self.input(patches), list[Tensor]()
        for stage in self.stages:
            h = stage(h)
            maps.append(h.movedim(1, -1).flatten(1))
        return torch.cat(maps, dim=1)


class MapDecoder(nn.Module):
    """A decoder of a map: scale and shift of each channel, then a 1x1 convolution to params.

    Args:
        width: channels of the map.
        shape: (n_params * C, H, W).
        patch: side of the square of pixels that each position of the map is about.
    """

    def __init__(self, width: int, shape: tuple[int, int, int], patch: int = 1) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.shape, self.patch = shape, patch
        self.output = nn.Conv2d(width, shape[0] * patch**2, 1)

    def forward(self, state: Tensor) -> Tensor:
        gain, shift = self.gain[:, None, None], self.shift[:, None, None]
        params = F.pixel_shuffle(self.output(state * gain + shift), self.patch)
        return params[..., : self.shape[1], : self.shape[2]]

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to the channel means of ``params`` (n_params * C, H, W)."""
        assert self.output.bias is not None
        with torch.no_grad():
            means = params.mean(dim=(1, 2))
            self.output.bias.copy_(means.repeat_interleave(self.patch**2))
