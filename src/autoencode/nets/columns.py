"""Transformers over the columns of a table: each column of a row is a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoencode.nets.reader import Reader
from autoencode.nets.transformer import Block
from autoencode.types import DataSpec


def _small(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(*shape))


class ColumnEncoder(nn.Module):
    """An encoder of rows (N, *D) into a token for each column (N, P, width), from those that are seen.

    A number is taken into its token by a linear map of its column's own, a category by a vector of its
    own; what a column is, a learned place says. Tokens of columns that are hidden are zeros.

    Args:
        spec: the data; of arrays every entry is a column, P in all.
        width: of a token.
        depth: blocks.
        heads: of attention; divide the width.
    """

    owners: Tensor

    def __init__(self, spec: DataSpec, width: int, depth: int, heads: int) -> None:
        super().__init__()
        flat = replace(spec, shape=(spec.size,), layout="row", offset=(0.0,), scale=(1.0,), gaps=False)
        self.reader = Reader(flat)
        kinds = [column.kind for column in spec.columns] or ["real"] * spec.size
        owners = [i for i, kind in enumerate(kinds) if kind != "category"]
        for i, column in enumerate(spec.columns):
            owners += [i] * column.n_states
        # Which column each number of the reader is of.
        self.register_buffer("owners", torch.tensor(owners), persistent=False)
        self.weight = nn.Parameter(torch.randn(len(owners), width) / math.sqrt(width))
        self.places = _small(spec.size, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Encodes rows into tokens; ``hidden`` (N, P) is true for columns it may not see."""
        flat = x.flatten(1)
        missing = flat.isnan()
        hidden = missing if hidden is None else hidden | missing
        numbers = self.reader(flat.masked_fill(missing, 0.0)).unsqueeze(-1)
        tokens = self.places.expand(flat.shape[0], -1, -1).index_add(
            1, self.owners, numbers * self.weight
        )
        for block in self.blocks:
            tokens = block(tokens, seen=~hidden)
        found: Tensor = self.norm(tokens)
        return found.masked_fill(hidden.unsqueeze(-1), 0.0)


class ColumnDecoder(nn.Module):
    """A decoder of a token for each column (N, P, width) into params (N, W), column by column.

    A token of zeros is one that is not there; a learned vector stands in its place.

    Args:
        owners: for each param the number of its column.
        shape: of the params, W numbers in all.
        width: of the encoder's tokens.
        inner: width of its own.
        depth, heads: as for the encoder.
    """

    columns: Tensor

    def __init__(
        self,
        owners: Sequence[int],
        shape: tuple[int, ...],
        width: int,
        inner: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("columns", torch.tensor(list(owners)), persistent=False)
        self.embed = nn.Linear(width, inner)
        self.unseen = _small(inner)
        self.places = _small(max(owners) + 1, inner)
        self.blocks = nn.Sequential(*(Block(inner, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(inner)
        self.weight = nn.Parameter(torch.randn(len(owners), inner) / inner)
        self.bias = nn.Parameter(torch.zeros(len(owners)))

    def forward(self, tokens: Tensor) -> Tensor:
        there = tokens.any(-1, keepdim=True)
        inner = torch.where(there, self.embed(tokens), self.unseen)
        found = self.norm(self.blocks(inner + self.places))[:, self.columns]
        params: Tensor = (found * self.weight).sum(-1) + self.bias
        return params.reshape(tokens.shape[0], *self.shape)

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to ``params``, where training starts."""
        with torch.no_grad():
            self.bias.copy_(params.flatten())
