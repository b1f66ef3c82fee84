"""Normalising flows: invertible maps of vectors with the logarithm of their volume change.

A map takes z (..., Z), and features h of the examples where it depends on them, and gives the new z and
log |det dz'/dz|.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.types import Distribution

# The logarithm of a scale; beyond it a single map would have to do the work of several.
_MOST_LOG_SCALE = 5.0


class Planar(nn.Module):
    """The planar flow z + u tanh(w z + b), with u, w and b from the features of the example.

    Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015),
    https://arxiv.org/abs/1505.05770

    Args:
        dim: Z.
        features: width of h.
    """

    def __init__(self, dim: int, features: int) -> None:
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, 2 * dim + 1)

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        u, w, b = self.head(h).split([self.dim, self.dim, 1], dim=-1)
        # w u > -1 makes the map invertible.
        product = (w * u).sum(-1, keepdim=True)
        along = w / w.square().sum(-1, keepdim=True).clamp_min(1e-8)
        u = u + (F.softplus(product) - 1 - product) * along
        inner = torch.tanh((w * z).sum(-1, keepdim=True) + b)
        slope = 1 + (1 - inner.square()) * (w * u).sum(-1, keepdim=True)
        return z + u * inner, slope.clamp_min(1e-8).log().squeeze(-1)


class Radial(nn.Module):
    """The radial flow z + beta (z - c) / (alpha + |z - c|); features give alpha, beta and c.

    Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015),
    https://arxiv.org/abs/1505.05770

    Args:
        dim: Z.
        features: width of h.
    """

    def __init__(self, dim: int, features: int) -> None:
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, dim + 2)

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        centre, log_alpha, raw = self.head(h).split([self.dim, 1, 1], dim=-1)
        alpha = F.softplus(log_alpha) + 1e-3
        beta = F.softplus(raw) - alpha  # above -alpha the map is invertible
        away = z - centre
        distance = away.norm(dim=-1, keepdim=True)
        share = beta / (alpha + distance)
        radial = 1 + share - beta * distance / (alpha + distance).square()
        log_det = (self.dim - 1) * torch.log1p(share) + radial.clamp_min(1e-8).log()
        return z + share * away, log_det.squeeze(-1)


class _Masked(nn.Linear):
    """A linear layer some of whose weights are always zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class Autoregressive(nn.Module):
    """The map z' = (z - m(z)) / s(z), where m and s of an entry see only the entries before it.

    MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015),
    https://arxiv.org/abs/1502.03509, gives all m and s at once; the way back takes Z of them. Maps data
    to noise in Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
    https://arxiv.org/abs/1705.07057, and noise to data in Improving Variational Inference with Inverse
    Autoregressive Flow (Kingma et al., 2016), https://arxiv.org/abs/1606.04934.

    Args:
        dim: Z.
        hidden: width of the two hidden layers.
        features: width of h, 0 where the map depends on nothing else.
        reverse: entries come in the opposite order, as every other map of a chain should have it.
    """

    def __init__(self, dim: int, hidden: int = 64, features: int = 0, reverse: bool = False) -> None:
        super().__init__()
        self.dim = dim
        order = torch.arange(1, dim + 1)
        self.order = range(dim)
        if reverse:
            order, self.order = order.flip(0), range(dim - 1, -1, -1)
        degrees = torch.arange(hidden) % max(1, dim - 1) + 1
        self.first = _Masked((degrees[:, None] >= order[None]).float())
        self.second = _Masked((degrees[:, None] >= degrees[None]).float())
        self.last = _Masked((order[:, None] > degrees[None]).float().repeat(2, 1))
        self.context = nn.Linear(features, hidden) if features else None
        with torch.no_grad():  # the identity, more or less
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def _shift_and_log_scale(self, z: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        a = self.first(z)
        if self.context is not None and h is not None:
            a = a + self.context(h)
        shift, raw = self.last(F.relu(self.second(F.relu(a)))).chunk(2, dim=-1)
        return shift, _MOST_LOG_SCALE * torch.tanh(raw / _MOST_LOG_SCALE)

    def forward(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_and_log_scale(z, h)
        return (z - shift) * (-log_scale).exp(), -log_scale.sum(-1)

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Inverts the map, one entry after the other."""
        found = torch.zeros_like(z)
        for i in self.order:
            shift, log_scale = self._shift_and_log_scale(found, h)
            entry = z[..., i] * log_scale[..., i].exp() + shift[..., i]
            found = torch.cat([found[..., :i], entry[..., None], found[..., i + 1 :]], dim=-1)
        return found, self._shift_and_log_scale(found, h)[1].sum(-1)


class Inverse(nn.Module):
    """The inverse of a map, for which the slow direction becomes the fast one.

    Args:
        flow: has ``inverse``.
    """

    def __init__(self, flow: Autoregressive) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(z, h)

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Applies the original map."""
        way_back: tuple[Tensor, Tensor] = self.flow(z, h)
        return way_back


class FlowDensity:
    """The density of vectors that a chain of maps takes to a base distribution.

    Args:
        flows: from data to noise; each has ``inverse``.
        base: of the noise.
    """

    def __init__(self, flows: Sequence[nn.Module], base: Distribution) -> None:
        self.flows, self.base = flows, base

    @property
    def mean(self) -> Tensor:
        """The base's mean taken through the maps; not the mean of the density."""
        return self._to_data(self.base.mean)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density of (..., Z), nats."""
        total = value.new_zeros(())
        for flow in self.flows:
            value, log_det = flow(value)
            total = total + log_det
        return self.base.log_prob(value) + total

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, Z)."""
        return self._to_data(self.base.rsample(sample_shape))

    def _to_data(self, z: Tensor) -> Tensor:
        for flow in reversed(list(self.flows)):
            z, _ = flow.inverse(z)  # type: ignore[operator]
        return z
