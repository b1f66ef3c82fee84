"""Convolutional encoders and decoders for images of any size."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.nets.layers import NetOptions
from autoencode.types import layout_of

KERNEL, PADDING = 3, 1


def check_layers(shape: tuple[int, ...], channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if layout_of(shape) != "image":
        raise IncompatibleError(
            f"convolutions need images (channels, height, width), got examples of shape "
            f"{'x'.join(map(str, shape))}; use an MLP recipe, or give the data "
            "as images (layout=image)"
        )
    if not channels:
        raise IncompatibleError("channels and strides need at least one layer, got none")
    if len(channels) != len(strides):
        raise IncompatibleError(
            f"channels and strides must have the same length, got {channels} and {strides}"
        )


def map_sizes(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[tuple[int, int]]:
    """Computes the height and width of the map before the first and after each layer."""
    sizes = [(shape[1], shape[2])]
    for stride in strides:
        height, width = sizes[-1]
        sizes.append(((height - 1) // stride + 1, (width - 1) // stride + 1))
    return sizes


def feature_shape(
    shape: tuple[int, ...], channels: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[int, int, int]:
    """Computes the shape of the last feature map.

    >>> feature_shape((1, 28, 28), (16, 32), (2, 2))
    (32, 7, 7)
    """
    check_layers(shape, channels, strides)
    return (channels[-1], *map_sizes(shape, strides)[-1])


class ConvEncoder(nn.Module):
    """An encoder of 3x3 convolutions; features are the flat last map (B, C*H*W), or the map itself.

    Args:
        shape: (channels, height, width), any size.
        channels: output channels of each layer.
        strides: stride of each layer.
        options: how layers are made.
        spatial: keep the map (B, C, H, W) instead of flattening it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: NetOptions | None = None,
        spatial: bool = False,
    ) -> None:
        super().__init__()
        options = options or NetOptions()
        self.map_shape = feature_shape(shape, channels, strides)
        self.features = math.prod(self.map_shape)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip((shape[0], *channels), channels, strides, strict=False):
            conv = nn.Conv2d(inputs, outputs, KERNEL, stride, PADDING)
            layers += options.hidden(conv, outputs, spatial=True)
        if not spatial:
            layers.append(nn.Flatten())
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layers(x)
        return h


class ConvDecoder(nn.Module):
    """A decoder that mirrors ``ConvEncoder``: transposed convolutions that restore each size exactly.

    Args:
        latent_dim: width of z, which a linear layer turns into the first map; ``None`` when z is
            the map (N, C, H, W) itself.
        shape, channels, strides: as given to the encoder.
        n_params: numbers that the likelihood needs for each entry.
        options: how layers are made.
        map_channels: channels C of a z that is a map, where they are not the encoder's.
    """

    def __init__(
        self,
        latent_dim: int | None,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        n_params: int = 1,
        options: NetOptions | None = None,
        map_channels: int | None = None,
    ) -> None:
        super().__init__()
        options = options or NetOptions()
        map_shape = feature_shape(shape, channels, strides)
        layers: list[nn.Module] = []
        if latent_dim is not None:
            layers += [nn.Linear(latent_dim, math.prod(map_shape)), nn.Unflatten(1, map_shape)]
        if map_channels is not None:
            layers.append(nn.Conv2d(map_channels, channels[-1], 1))
        outputs = (n_params * shape[0], *channels)
        sizes = map_sizes(shape, strides)
        for i in reversed(range(len(channels))):
            conv = transposed(channels[i], outputs[i], strides[i], sizes[i + 1], sizes[i])
            layers += options.hidden(conv, outputs[i], spatial=True) if i else []
        self.layers = nn.Sequential(*layers)
        self.output = conv

    def forward(self, z: Tensor) -> Tensor:
        params: Tensor = self.output(self.layers(z))
        return params

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to the channel means of ``params`` (n_params * C, H, W)."""
        assert self.output.bias is not None
        with torch.no_grad():
            self.output.bias.copy_(params.mean(dim=(1, 2)))


def transposed(
    inputs: int, outputs: int, stride: int, small: tuple[int, int], large: tuple[int, int]
) -> nn.ConvTranspose2d:
    """Makes a transposed convolution that takes a map of size ``small`` to ``large``."""
    missing = tuple(
        target - ((size - 1) * stride - 2 * PADDING + KERNEL)
        for size, target in zip(small, large, strict=True)
    )
    return nn.ConvTranspose2d(
        inputs, outputs, KERNEL, stride, PADDING, output_padding=(missing[0], missing[1])
    )
