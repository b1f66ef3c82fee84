"""Bottlenecks whose codes are integers: quantisers, alone, one after another or side by side.

::

    features ──► project ──► (B, D, *G) ──► quantiser, each position by itself ──► z (B, D, *G)
                                                    └──► codes (B, *G[, L]) ──► lookup ──► z

A quantiser takes vectors (B, P, D) of P positions and gives a ``Choice``. Its penalties are averaged
over positions and have no unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.bottlenecks.codebooks import (
    LearnedCodebook,
    LinearCodebook,
    MovingCodebook,
    nearest,
)
from autoencode.distributions.basic import full_precision
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent


@dataclass(frozen=True)
class Choice:
    """The codes that a quantiser chooses for vectors (B, P, D), and what stands for them.

    Attributes:
        z: (B, P, D) what stands for them; its gradient goes on to them as it is.
        codes: (B, P), or (B, P, L) where each position has L integers.
        penalties: by name, (B,).
    """

    z: Tensor
    codes: Tensor
    penalties: Mapping[str, Tensor] = field(default_factory=dict)


class Quantiser(Protocol):
    """A module that turns vectors into integers and back."""

    dim: int
    n_codes: int
    n_books: int  # integers of each position

    def __call__(self, vectors: Tensor, move: bool = False) -> Choice:
        """Quantises vectors; with ``move``, codebooks that follow the vectors move."""

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (...) or (..., L)."""


class _Through(torch.autograd.Function):
    """The straight-through gradient: the quantised value, with the gradient of the value before."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, quantised: Tensor) -> Tensor:
        return quantised.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope, None


def straight_through(value: Tensor, quantised: Tensor) -> Tensor:
    """Returns ``quantised`` with a gradient that goes to ``value`` unchanged.

    >>> x = torch.tensor([0.2, 1.7], requires_grad=True)
    >>> straight_through(x, x.round()).sum().backward()
    >>> x.grad.tolist()
    [1.0, 1.0]
    """
    through: Tensor = _Through.apply(value, quantised.detach())  # type: ignore[no-untyped-call]
    return through


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Computes the squared distance of vectors (B, P, D), averaged over positions: (B,)."""
    return (a - b).square().sum(-1).mean(-1)


class VectorQuantiser(nn.Module):
    """A quantiser that takes the nearest vector of a codebook.

    Neural Discrete Representation Learning (van den Oord et al., 2017), https://arxiv.org/abs/1711.00937.
    Penalties: ``commitment`` pulls vectors to their codes, ``codebook`` codes that are learned by
    gradients to their vectors.

    Args:
        codebook: where the vectors are from.
    """

    n_books = 1

    def __init__(self, codebook: MovingCodebook | LearnedCodebook | LinearCodebook) -> None:
        super().__init__()
        self.codebook = codebook
        self.n_codes, self.dim = codebook.vectors.shape

    def forward(self, vectors: Tensor, move: bool = False) -> Choice:
        book = self.codebook
        if move and isinstance(book, MovingCodebook):
            book.start(vectors)
        entries = full_precision(book.vectors)
        codes = nearest(vectors, entries.detach())
        chosen = F.embedding(codes, entries)
        penalties = {"commitment": _apart(vectors, chosen.detach())}
        if book.learned:
            penalties["codebook"] = _apart(vectors.detach(), chosen)
        z = straight_through(vectors, chosen)
        if move and isinstance(book, MovingCodebook):
            book.follow(vectors, codes)
        return Choice(z, codes, penalties)

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (...)."""
        return F.embedding(codes, self.codebook.vectors)


def _summed(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Adds up penalties of the same name."""
    total: dict[str, Tensor] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


class Residual(nn.Module):
    """A chain of quantisers, each of which takes what those before it left over; z is their sum.

    SoundStream: An End-to-End Neural Audio Codec (Zeghidour et al., 2021),
    https://arxiv.org/abs/2107.03312

    Args:
        levels: quantisers of one width.
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.dim, self.n_codes = levels[0].dim, levels[0].n_codes
        self.n_books = len(levels)

    def forward(self, vectors: Tensor, move: bool = False) -> Choice:
        left, total = vectors, torch.zeros_like(vectors)
        found: list[Choice] = []
        for level in self.levels:
            choice: Choice = level(left, move)
            left, total = left - choice.z.detach(), total + choice.z.detach()
            found.append(choice)
        codes = torch.stack([choice.codes for choice in found], dim=-1)
        penalties = _summed([choice.penalties for choice in found])
        return Choice(straight_through(vectors, total), codes, penalties)

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (..., L)."""
        parts = zip(self.levels, codes.unbind(-1), strict=True)
        return sum((level.lookup(part) for level, part in parts), start=torch.zeros(()))  # type: ignore[operator]


class Product(nn.Module):
    """A row of quantisers, each of which takes its own part of the vector.

    Learning Product Codebooks using Vector-Quantized Autoencoders for Image Retrieval (Wu & Flierl,
    2018), https://arxiv.org/abs/1807.04629

    Args:
        parts: quantisers, for consecutive entries of the vector.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.widths = [int(part.dim) for part in parts]  # type: ignore[arg-type]
        self.dim, self.n_codes = sum(self.widths), parts[0].n_codes
        self.n_books = len(parts)

    def forward(self, vectors: Tensor, move: bool = False) -> Choice:
        pieces = vectors.split(self.widths, dim=-1)
        found: list[Choice] = [
            part(piece, move) for part, piece in zip(self.parts, pieces, strict=True)
        ]
        return Choice(
            torch.cat([choice.z for choice in found], dim=-1),
            torch.stack([choice.codes for choice in found], dim=-1),
            _summed([choice.penalties for choice in found]),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (..., L)."""
        parts = zip(self.parts, codes.unbind(-1), strict=True)
        return torch.cat([part.lookup(piece) for part, piece in parts], dim=-1)  # type: ignore[operator]


class CodebookBottleneck(nn.Module):
    """A base of bottlenecks whose latent is chosen from codebooks, on one map or several."""

    def choose(self, h: Tensor, move: bool = False) -> tuple[Tensor, Choice]:
        """Chooses z for features and returns it with the choice; with ``move``, codebooks may move."""
        raise NotImplementedError

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        z, choice = self.choose(h, self.training and torch.is_grad_enabled())
        return as_latent(z, choice.codes, choice.penalties, n_samples)

    def codes(self, h: Tensor) -> Tensor:
        """Computes the integers (B, ...) of features, as ``choose`` gives them."""
        with torch.no_grad():
            return self.choose(h)[1].codes

    def embed(self, h: Tensor) -> Tensor:
        """Computes z of features, as ``choose`` gives it; no codebook moves."""
        return self.choose(h)[0]

    def books(self, count: int) -> list[int]:
        """Numbers the codebook that each of an example's ``count`` integers is from."""
        raise NotImplementedError


class Quantised(CodebookBottleneck):
    """A bottleneck that quantises the vector at each position of a map (B, D, *G).

    Args:
        project: features to (B, D, *G), with the quantiser's width D.
        quantiser: one of this module's or of ``finite``.
    """

    def __init__(self, project: nn.Module | None, quantiser: nn.Module) -> None:
        super().__init__()
        self.project = project or nn.Identity()
        self.quantiser = quantiser

    @property
    def n_codes(self) -> int:
        """Number of values that one integer of the code can take."""
        return int(self.quantiser.n_codes)  # type: ignore[arg-type]

    def choose(self, h: Tensor, move: bool = False) -> tuple[Tensor, Choice]:
        """Chooses z (B, D, *G); returns it with the choice, codes (B, *G[, L])."""
        features = full_precision(self.project(h))
        width: int = self.quantiser.dim  # type: ignore[assignment]
        if features.dim() < 3 or features.shape[1] != width:
            raise IncompatibleError(
                f"the quantiser takes vectors of width {width} at each position and got features "
                f"{tuple(features.shape[1:])}; project them to ({width}, positions)"
            )
        grid = features.shape[2:]
        choice: Choice = self.quantiser(features.flatten(2).transpose(1, 2), move)
        z = choice.z.transpose(1, 2).reshape(h.shape[0], width, *grid)
        codes = choice.codes.reshape(h.shape[0], *grid, *choice.codes.shape[2:])
        return z, Choice(choice.z, codes, choice.penalties)

    def books(self, count: int) -> list[int]:
        """Numbers the codebook that each of an example's ``count`` integers is from."""
        n_books: int = self.quantiser.n_books  # type: ignore[assignment]
        return [place % n_books for place in range(count)]

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up z (B, D, *G) of codes (B, *G[, L]), so that any codes can be decoded."""
        vectors: Tensor = self.quantiser.lookup(codes)  # type: ignore[operator]
        return vectors.movedim(-1, 1)


class TwoLevels(CodebookBottleneck):
    """A bottleneck of a coarse map above a fine one, which is chosen given it; z is both.

    Generating Diverse High-Fidelity Images with VQ-VAE-2 (Razavi et al., 2019),
    https://arxiv.org/abs/1906.00446

    ::

        h ──► down ──► top ──► z_top ──► up ──┐
        └──────────────────────────────► (h, ·) ──► bottom ──► z_bottom

    The codes of both maps stand in one row, the coarse ones first.

    Args:
        down: features (B, C, H, W) to those of the coarse map.
        top: quantises the coarse map.
        up: the coarse z to a map (B, C', H, W).
        bottom: quantises features and that map together.
        top_shape: (H', W') of the coarse map.
        bottom_shape: (H, W).
    """

    def __init__(
        self,
        down: nn.Module,
        top: Quantised,
        up: nn.Module,
        bottom: Quantised,
        top_shape: Sequence[int],
        bottom_shape: Sequence[int],
    ) -> None:
        super().__init__()
        self.down, self.top, self.up, self.bottom = down, top, up, bottom
        self.top_shape, self.bottom_shape = tuple(top_shape), tuple(bottom_shape)

    @property
    def n_codes(self) -> int:
        """Number of values that one integer of the code can take."""
        return max(self.top.n_codes, self.bottom.n_codes)

    def choose(self, h: Tensor, move: bool = False) -> tuple[Tensor, Choice]:
        """Chooses z (B, D' + D, H, W); returns it with the choice, codes (B, H'W' + HW)."""
        z_top, top = self.top.choose(self.down(h), move)
        z_bottom, bottom = self.bottom.choose(torch.cat([h, self.up(z_top)], dim=1), move)
        codes = torch.cat([top.codes.flatten(1), bottom.codes.flatten(1)], dim=1)
        z = self._over(z_top, z_bottom)
        return z, Choice(z, codes, _summed([top.penalties, bottom.penalties]))

    def _apart(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        n_top = self.top_shape[0] * self.top_shape[1]
        return codes[:, :n_top], codes[:, n_top:]

    def _over(self, z_top: Tensor, z_bottom: Tensor) -> Tensor:
        return torch.cat([F.interpolate(z_top, self.bottom_shape), z_bottom], dim=1)

    def books(self, count: int) -> list[int]:
        """Numbers the codebook that each of an example's ``count`` integers is from."""
        height, width = self.top_shape
        return [int(place >= height * width) for place in range(count)]

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up z (B, D' + D, H, W) of codes (B, H'W' + HW)."""
        top, bottom = self._apart(codes)
        return self._over(
            self.top.lookup(top.unflatten(1, self.top_shape)),
            self.bottom.lookup(bottom.unflatten(1, self.bottom_shape)),
        )


def as_latent(z: Tensor, codes: Tensor, penalties: Mapping[str, Tensor], n_samples: int) -> Latent:
    """Makes a latent of which every sample is the same."""

    def repeated(value: Tensor) -> Tensor:
        return value.unsqueeze(0).expand(n_samples, *value.shape)

    named = {name: repeated(value) for name, value in penalties.items()}
    return Latent(repeated(z), penalties=named, codes=repeated(codes))
