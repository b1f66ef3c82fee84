"""Draws of columns whose distribution is brought to that of training rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _levels() -> Tensor:
    """Levels of quantiles from 0 to 1, evenly spaced and denser towards both ends."""
    even = torch.linspace(0, 1, 129, dtype=torch.float64)
    tails = torch.special.ndtr(torch.linspace(-3.6, 3.6, 128, dtype=torch.float64))
    return torch.cat([even, tails]).sort().values


class Marginals(nn.Module):
    """A rising map of each number's draws, which gives them the quantiles of training rows.

    What a model draws of one column is a mixture of Gaussians around smooth means. A column that is
    skewed, has many zeros or ends sharply has another distribution; how columns hang together is what
    the model has learned, and no rising map changes the order of draws.

    Args:
        size: entries D of an example.

    Example:
        >>> marginals = Marginals(1)
        >>> levels = marginals.levels[:, None]
        >>> marginals.fit(levels * 2 - 1, levels**2, torch.tensor([True]))
        >>> marginals(torch.tensor([[0.0], [1.0], [7.0]])).flatten().tolist()
        [0.25, 1.0, 1.0]
    """

    levels: Tensor
    drawn: Tensor
    real: Tensor
    moved: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        levels = _levels()
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("drawn", torch.zeros(len(levels), size))
        self.register_buffer("real", torch.zeros(len(levels), size))
        self.register_buffer("moved", torch.zeros(size, dtype=torch.bool))

    def fit(self, drawn: Tensor, real: Tensor, moved: Tensor) -> None:
        """Takes quantiles (Q, D) of draws and of training rows at ``levels``.

        Args:
            drawn, real: rising.
            moved: (D,) false for entries whose draws stay as they are.
        """
        self.drawn.copy_(drawn)
        self.real.copy_(real)
        self.moved.copy_(moved)

    def forward(self, x: Tensor) -> Tensor:
        """Maps draws (N, *D)."""
        flat = x.flatten(1)
        columns = flat.T.contiguous().to(self.drawn)
        knots, values = self.drawn.T.contiguous(), self.real.T.contiguous()
        above = torch.searchsorted(knots, columns).clamp(1, knots.shape[1] - 1)
        low, high = knots.gather(1, above - 1), knots.gather(1, above)
        share = ((columns - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        below = values.gather(1, above - 1)
        found = below + share * (values.gather(1, above) - below)
        return torch.where(self.moved[:, None], found, columns).T.to(x).reshape(x.shape)
