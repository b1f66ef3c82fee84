"""Small vision transformers: patches of an image as tokens, and tokens as patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.errors import IncompatibleError
from autoencode.nets.transformer import Block
from autoencode.types import layout_of


class Patches:
    """A grid that cuts an image into square patches; other sides are padded with zeros.

    Args:
        shape: (channels, height, width).
        size: side of a patch.

    >>> Patches((1, 28, 28), 4).count
    49
    """

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        if layout_of(shape) != "image":
            raise IncompatibleError(
                f"patches need images (channels, height, width), got examples of shape "
                f"{'x'.join(map(str, shape))}; use an MLP recipe, or give the data "
                "as images (layout=image)"
            )
        self.channels, self.height, self.width = shape
        self.size = size
        self.rows, self.columns = math.ceil(self.height / size), math.ceil(self.width / size)
        self.count = self.rows * self.columns
        self.entries = self.channels * size * size

    def cut(self, x: Tensor) -> Tensor:
        """Cuts images (N, C, H, W) into patches (N, P, C * size²)."""
        below = self.rows * self.size - self.height
        right = self.columns * self.size - self.width
        padded = F.pad(x, (0, right, 0, below))
        cut = padded.unflatten(3, (self.columns, self.size)).unflatten(2, (self.rows, self.size))
        rows: Tensor = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return rows

    def join(self, patches: Tensor) -> Tensor:
        """Joins patches into images; the inverse of ``cut``."""
        side, channels = self.size, self.channels
        grid = patches.unflatten(1, (self.rows, self.columns)).unflatten(3, (channels, side, side))
        whole: Tensor = grid.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        image: Tensor = whole[:, :, : self.height, : self.width]
        return image


def _places(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(count, width))


class PatchEncoder(nn.Module):
    """A transformer from images (N, C, H, W) to a token for each patch, or for those that are seen.

    Args:
        patches: how images are cut.
        width: of a token.
        depth: blocks.
        heads: of attention; divide the width.
    """

    def __init__(self, patches: Patches, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = patches
        self.embed = nn.Linear(patches.entries, width)
        self.places = _places(patches.count, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Encodes images into tokens; ``seen`` (N, n) are the numbers of the patches it may see."""
        tokens = self.embed(self.patches.cut(x)) + self.places
        if seen is not None:
            tokens = tokens.gather(1, seen.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))
        result: Tensor = self.norm(self.blocks(tokens))
        return result


class PatchDecoder(nn.Module):
    """A transformer from a token for each patch (N, P, width) to images (N, C, H, W).

    Args:
        patches: how images are cut.
        width: of the encoder's tokens.
        inner: width of its own.
        depth, heads: as for the encoder.
    """

    def __init__(self, patches: Patches, width: int, inner: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = patches
        self.embed = nn.Linear(width, inner)
        self.unseen = nn.Parameter(0.02 * torch.randn(inner))
        self.places = _places(patches.count, inner)
        self.blocks = nn.Sequential(*(Block(inner, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(inner)
        self.output = nn.Linear(inner, patches.entries)

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Decodes tokens into images; ``hidden`` (N, P) is true for patches without a token."""
        inner = self.embed(tokens)
        if hidden is not None:
            inner = torch.where(hidden.unsqueeze(-1), self.unseen, inner)
        return self.patches.join(self.output(self.norm(self.blocks(inner + self.places))))

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to the mean patch of ``params`` (C, H, W)."""
        with torch.no_grad():
            self.output.bias.copy_(self.patches.cut(params[None])[0].mean(0))
