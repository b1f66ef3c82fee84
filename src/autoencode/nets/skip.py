"""A convolutional encoder and decoder whose code is the maps of every scale together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autoencode.nets.conv import KERNEL, PADDING, check_layers, map_sizes, transposed
from autoencode.nets.layers import NetOptions

_START = 0.01  # of its usual size is the last layer at first; at 0 no other would have a gradient


def _maps(
    shape: tuple[int, ...], channels: tuple[int, ...], strides: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Computes the shapes of x and of the map after each layer."""
    check_layers(shape, channels, strides)
    sizes = map_sizes(shape, strides)
    return [(n, *size) for n, size in zip((shape[0], *channels), sizes, strict=True)]


class SkipEncoder(nn.Module):
    """An encoder of 3x3 convolutions; features (B, F) are x and the map of every layer, side by side.

    Args:
        shape: (channels, height, width), any size.
        channels: output channels of each layer.
        strides: stride of each layer.
        options: how layers are made.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: NetOptions | None = None,
    ) -> None:
        super().__init__()
        options = options or NetOptions()
        self.features = sum(map(math.prod, _maps(shape, channels, strides)))
        self.layers = nn.ModuleList()
        for inputs, outputs, stride in zip((shape[0], *channels), channels, strides, strict=False):
            conv = nn.Conv2d(inputs, outputs, KERNEL, stride, PADDING)
            self.layers.append(nn.Sequential(*options.hidden(conv, outputs, spatial=True)))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return torch.cat([found.flatten(1) for found in maps], dim=1)


class SkipDecoder(nn.Module):
    """A decoder that mirrors ``SkipEncoder`` and adds the encoder's map to each of its own.

    The last of them is x, so the layers learn what is to be added to x, at first
    hardly anything.

    Args:
        shape, channels, strides: as given to the encoder.
        wanted: channels of x among those of ``shape``, the first ones, and channels to be made: as
            many numbers for each entry of x as the likelihood needs, x being added to the first.
        options: how layers are made.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        wanted: tuple[int, int] | None = None,
        options: NetOptions | None = None,
    ) -> None:
        super().__init__()
        options = options or NetOptions()
        self.kept, made = wanted or (shape[0], shape[0])
        self.maps = _maps(shape, channels, strides)
        sizes = map_sizes(shape, strides)
        outputs = (made, *channels)
        self.layers = nn.ModuleList()
        self.after = nn.ModuleList()
        for i in reversed(range(len(channels))):
            conv = transposed(channels[i], outputs[i], strides[i], sizes[i + 1], sizes[i])
            self.layers.append(conv)
            hidden = options.hidden(nn.Identity(), outputs[i], spatial=True)[1:] if i else []
            self.after.append(nn.Sequential(*hidden))
        with torch.no_grad():
            for parameter in conv.parameters():
                parameter.mul_(_START)

    def forward(self, z: Tensor) -> Tensor:
        h: Tensor
        parts = z.split([math.prod(found) for found in self.maps], dim=1)
        maps = [part.unflatten(1, shape) for part, shape in zip(parts, self.maps, strict=True)]
        h = maps.pop()
        for layer, after in zip(self.layers, self.after, strict=True):
            made, beside = layer(h), maps.pop()
            h = after(made + beside) if maps else _added(made, beside[:, : self.kept])
        return h


def _added(made: Tensor, x: Tensor) -> Tensor:
    """Adds x to the first channels of a map."""
    return made + nn.functional.pad(x, (0, 0, 0, 0, 0, made.shape[1] - x.shape[1]))
