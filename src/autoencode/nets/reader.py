"""Layers before a network that cannot read missing values, categories or large counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.distributions.words import Words
from autoencode.types import DataSpec


class Reader(nn.Module):
    """A layer that turns x with missing values and categories into plain numbers.

    A missing value becomes zero (the mean, of a standardised column) and its entry of the indicator
    1; a category becomes a one-hot vector of its state (``Words``), all zeros where it is missing, and
    also where it was never seen, which no indicator tells. Real values v become asinh(v): the same near
    zero, and an outlier at a hundred standard deviations, which would drive a network far outside of
    what it has learned, becomes 5.3. Along the first data axis come values, then the one-hot vectors,
    then, where there may be gaps, the indicators.

    Args:
        spec: the data.
        squash: whether real values become asinh(v); a network with a linear path does so by itself.

    Example:
        >>> reader = Reader(DataSpec((2,), "real", gaps=True))
        >>> reader(torch.tensor([[0.0, float("nan")]])).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(self, spec: DataSpec, squash: bool = True) -> None:
        super().__init__()
        self.gaps = spec.gaps
        self.real = spec.kind == "real" and squash
        coded = [column.kind == "category" for column in spec.columns]
        self.words = Words([column for column in spec.columns if column.kind == "category"])
        sizes = self.words.sizes
        firsts = torch.tensor([0, *sizes]).cumsum(0)
        self.n_slots = sum(sizes)
        self.register_buffer("plain", _places([not c for c in coded]), persistent=False)
        self.register_buffer("coded", _places(coded), persistent=False)
        self.register_buffer("firsts", firsts[:-1], persistent=False)
        owners = [i for i, size in enumerate(sizes) for _ in range(size)]
        self.register_buffer("owners", torch.tensor(owners, dtype=torch.long), persistent=False)
        plain = len(self.plain) if coded else spec.shape[0]
        #: Numbers and one-hot vectors along the first data axis.
        self.n_entries = plain + self.n_slots
        width = self.n_entries + (spec.shape[0] if spec.gaps else 0)
        #: Shape of one example for the network.
        self.shape = (width, *spec.shape[1:])

    @property
    def straight(self) -> bool:
        """Whether known values are read as they are."""
        return not self.real

    plain: Tensor
    coded: Tensor
    firsts: Tensor
    owners: Tensor

    def forward(self, x: Tensor) -> Tensor:
        missing = torch.isnan(x) if self.gaps else None
        if missing is not None:
            x = x.masked_fill(missing, 0.0)
        plain = x[:, self.plain] if self.n_slots else x
        parts = [plain.asinh() if self.real else plain]
        if self.n_slots:
            parts.append(self._one_hot(x, missing))
        if missing is not None:
            parts.append(missing.to(x.dtype))
        return torch.cat(parts, dim=1)

    def entries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Lays out numbers and one-hot vectors (N, R), zeros in gaps, and tells which are known."""
        missing = torch.isnan(x)
        values = x.masked_fill(missing, 0.0)
        if not self.n_slots:
            return values, ~missing
        whole = torch.cat([values[:, self.plain], self._one_hot(values, missing)], dim=1)
        gone = [missing[:, self.plain], missing[:, self.coded][:, self.owners]]
        return whole, ~torch.cat(gone, dim=1)

    def _one_hot(self, x: Tensor, missing: Tensor | None) -> Tensor:
        states, known = self.words(x[:, self.coded].long())
        if missing is not None:
            known = known & ~missing[:, self.coded]
        ones = known.to(x.dtype)
        return x.new_zeros(x.shape[0], self.n_slots).scatter(1, states + self.firsts, ones)


class Logarithm(nn.Module):
    """A layer that turns counts x into log(1 + x), which a network can take whatever their size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_min(0).log1p()


def _places(chosen: list[bool]) -> Tensor:
    return torch.tensor([i for i, yes in enumerate(chosen) if yes], dtype=torch.long)


class Read(nn.Module):
    """A network that reads x through a reader."""

    def __init__(self, reader: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.reader = reader
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        read = self.reader(x)
        h: Tensor = self.network(read) if context is None else self.network(read, context)
        return h

    @property
    def n_straight(self) -> int:
        """How many features, the last ones, are values of x as they are or ones of categories."""
        as_they_are = getattr(self.reader, "straight", False)
        return int(getattr(self.network, "n_straight", 0)) if as_they_are else 0

    def straight(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns what the network reads, flat, with the context beside it."""
        read: Tensor = self.network.straight(self.reader(x), context)  # type: ignore[operator]
        return read


def reader_for(spec: DataSpec, squash: bool = True) -> Reader | None:
    """Makes the reader that a network for these data needs, ``None`` when it needs none."""
    coded = any(column.kind == "category" for column in spec.columns)
    return Reader(spec, squash) if spec.gaps or coded else None
