"""Bottlenecks of several latents, drawn and inferred from the top down.

::

    features ──► h_L ................ h_1
                  │                    │
                 q(z_L)               q(z_1)
                  ▼                    ▼
    start ──► layer L ──► ... ──► layer 1 ──► state ──► decoder
                  ▲                    ▲
                 p(z_L)               p(z_1)

A state carries what the latents above have decided. States have rows N = S * B, all examples of the
first sample first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.distributions.ancestral import Choose
from autoencode.distributions.basic import Normal, full_precision
from autoencode.types import Distribution, Latent, Site

_FARTHEST = 5.0  # of means and log-scales in a residual stream


class StochasticLayer(Protocol):
    """One latent of a hierarchy."""

    shape: tuple[int, ...]

    def prior(self, state: Tensor) -> tuple[Normal, Tensor]:
        """Computes p(z) given the latents above, batch shape (N,), and the state that z is put into."""

    def posterior(self, h: Tensor, state: Tensor, prior: Normal) -> Normal:
        """Computes q(z) given features and state as well, batch shape (N,)."""

    def below(self, state: Tensor, z: Tensor) -> Tensor:
        """Puts z (N, *Z) into the state that ``prior`` gave: the state for the next layer."""


class TopDown(nn.Module):
    """A bottleneck of stochastic layers; its latent is all of theirs, flat and side by side.

    The site of the last layer is ``z1``. ``views["state"]`` (S, B, ...) is what the decoder reads. The
    KL of each site is that of its distributions in sight of the draws above it, which both share.

    Args:
        layers: the top first.
        maps: shapes of the features, which come flat and side by side.
        reads: for each layer the number of the map that it reads.
        start: the state above the top layer; nothing by default.
    """

    start: Tensor

    def __init__(
        self,
        layers: Sequence[nn.Module],
        maps: Sequence[tuple[int, ...]],
        reads: Sequence[int],
        start: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.maps, self.reads = list(maps), list(reads)
        self.shapes: list[tuple[int, ...]] = [layer.shape for layer in layers]  # type: ignore[misc]
        self.widths = [torch.Size(shape).numel() for shape in self.shapes]
        if start is None:
            self.register_buffer("start", torch.zeros(0), persistent=False)
        else:
            self.start = start

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        size, sites = len(h), dict[str, Site]()
        infer = self._inference(h, n_samples)

        def draw(i: int, state: Tensor, p: Normal) -> Tensor:
            q = _by_sample(infer(i, state, p), size)
            z = q.rsample()
            sites[f"z{len(self.layers) - i}"] = Site(z, q, _by_sample(p, size))
            return z.flatten(0, 1)

        z, state = self.walk(n_samples * size, draw)
        shape = (n_samples, size)
        return Latent(z.unflatten(0, shape), sites, views={"state": state.unflatten(0, shape)})

    def embed(self, h: Tensor) -> Tensor:
        """Computes the means of all posteriors side by side, (B, Z), each given the means above."""
        infer = self._inference(h, 1)
        return self.walk(h.shape[0], lambda i, state, p: infer(i, state, p).mean)[0]

    def state(self, z: Tensor) -> Tensor:
        """Computes the state that the decoder reads at latents z (N, Z)."""
        return self.walk(z.shape[0], self.given(z))[1]

    def given(self, z: Tensor) -> Choose:
        """Returns the function for ``walk`` that chooses known latents z (N, Z)."""
        parts = z.split(self.widths, dim=-1)
        return lambda i, state, p: parts[i].unflatten(-1, self.shapes[i])

    def walk(self, n: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Chooses all latents from the top down, (n, Z); returns them and the state below the last.

        Args:
            n: rows.
            choose: (number of the layer, its state, its prior) to its latent (n, *Z).
        """
        state, chosen = self.start.expand(n, *self.start.shape), list[Tensor]()
        for i, layer in enumerate(self.layers):
            p, entered = layer.prior(state)  # type: ignore[operator]
            z = choose(i, state, p)
            chosen.append(z.flatten(1))
            state = layer.below(entered, z)  # type: ignore[operator]
        return torch.cat(chosen, dim=1), state

    def _inference(self, h: Tensor, n_samples: int) -> Callable[[int, Tensor, Normal], Normal]:
        """Makes the function that finds the posterior of a layer from its state and prior."""
        parts = h.split([torch.Size(shape).numel() for shape in self.maps], dim=1)
        maps = [part.unflatten(1, shape) for part, shape in zip(parts, self.maps, strict=True)]

        def infer(i: int, state: Tensor, p: Normal) -> Normal:
            own = maps[self.reads[i]]
            wide = own if n_samples == 1 else own.repeat(n_samples, *(1,) * (own.dim() - 1))
            q: Normal = self.layers[i].posterior(wide, state, p)  # type: ignore[operator]
            return q

        return infer


def _by_sample(gaussian: Normal, size: int) -> Normal:
    """Splits the batch shape (N,) of a Gaussian into (S, B)."""
    loc, log_scale = (part.unflatten(0, (-1, size)) for part in (gaussian.loc, gaussian.log_scale))
    return Normal(loc, log_scale, gaussian.event_dims)


def precision_weighted(a: Normal, b: Normal) -> Normal:
    """Combines two Gaussians into the one in proportion to the product of their densities.

    Its precision is the sum of theirs, its mean the mean of theirs weighted by precision.

    >>> narrow = Normal(torch.zeros(1), torch.tensor([0.5]).log())
    >>> both = precision_weighted(narrow, Normal(torch.ones(1), torch.zeros(1)))
    >>> round(both.loc.item(), 4), round(both.scale.item() ** 2, 4)
    (0.2, 0.2)
    """
    precision_a, precision_b = -2 * a.log_scale, -2 * b.log_scale  # their logarithms
    total = torch.logaddexp(precision_a, precision_b)
    loc = torch.lerp(b.loc, a.loc, (precision_a - total).exp())
    return Normal(loc, -0.5 * total, a.event_dims)


class LadderLayer(nn.Module):
    """A stochastic layer whose q(z) combines p(z) and the features, weighted by precision.

    Ladder Variational Autoencoders (Sønderby et al., 2016), https://arxiv.org/abs/1602.02282. The state
    is the latent above. The top layer has a standard normal prior, and q(z) is what the features say.

    Args:
        features: width of h.
        latent_dim: width of z.
        network: the latent above (N, Z') to features (N, width); nothing at the top.
        width: see ``network``.
    """

    def __init__(
        self, features: int, latent_dim: int, network: nn.Module | None = None, width: int = 0
    ) -> None:
        super().__init__()
        self.shape = (latent_dim,)
        self.seen = DiagonalGaussian(features, latent_dim)
        self.network = network
        self.above = None if network is None else DiagonalGaussian(width, latent_dim)

    def prior(self, state: Tensor) -> tuple[Normal, Tensor]:
        if self.network is None or self.above is None:
            zeros = self.seen.heads.weight.new_zeros(state.shape[0], *self.shape)
            return Normal(zeros, zeros), state
        return self.above.posterior(self.network(state)), state

    def posterior(self, h: Tensor, state: Tensor, prior: Normal) -> Normal:
        seen = self.seen.posterior(h)
        return seen if self.network is None else precision_weighted(seen, prior)

    def below(self, state: Tensor, z: Tensor) -> Tensor:
        return z


class ResidualLayer(nn.Module):
    """A stochastic layer whose latent map is added to a residual stream.

    Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images (Child, 2021),
    https://arxiv.org/abs/2011.10650

    Means and log-scales stay within 5 of zero, as in NVAE: A Deep Hierarchical Variational Autoencoder
    (Vahdat & Kautz, 2020), https://arxiv.org/abs/2007.03898

    Args:
        shape: Z = (c, H, W) of the latent.
        prior: state (N, C, H, W) to 2 c + C channels: mean and log-scale of p(z), and what is added.
        posterior: state and features (N, H, W, C) side by side to 2 c channels.
        project: z to C channels.
        network: the state to the state.
        leave: the state to that of the layer below, which may be larger.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        prior: nn.Module,
        posterior: nn.Module,
        project: nn.Module,
        network: nn.Module,
        leave: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.generate, self.infer = prior, posterior
        self.project, self.network = project, network
        self.leave = leave or nn.Identity()

    def _gaussian(self, params: Tensor) -> Normal:
        # Softly bounded: a draw from far away goes through the stream into all that is below.
        bounded = _FARTHEST * (full_precision(params) / _FARTHEST).tanh()
        loc, log_scale = bounded.chunk(2, dim=1)
        return Normal(loc, log_scale, len(self.shape))

    def prior(self, state: Tensor) -> tuple[Normal, Tensor]:
        params, added = self.generate(state).tensor_split([2 * self.shape[0]], dim=1)
        return self._gaussian(params), state + added

    def posterior(self, h: Tensor, state: Tensor, prior: Normal) -> Normal:
        return self._gaussian(self.infer(torch.cat([state, h.movedim(-1, 1)], dim=1)))

    def below(self, state: Tensor, z: Tensor) -> Tensor:
        made: Tensor = self.leave(self.network(state + self.project(z)))
        return made
