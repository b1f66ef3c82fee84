"""Activations that leave few units of the code on."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.errors import IncompatibleError
from autoencode.parallel import global_batch
from autoencode.types import Distribution, Latent


def check_k(k: int, width: int, name: str = "k") -> None:
    """Raises ``IncompatibleError`` unless 1 <= k <= width."""
    if not 1 <= k <= width:
        raise IncompatibleError(
            f"option {name}: must lie in 1..{width}, the width of the code, got {k}; use a smaller "
            f"{name} or a larger latent_dim (n_components)"
        )


class TopK(nn.Module):
    """An activation that keeps the k largest units of each example and sets the others to 0.

    k-Sparse Autoencoders (Makhzani & Frey, 2013), https://arxiv.org/abs/1312.5663

    Args:
        k: units that stay.
        k_eval: the same outside training, where the original keeps somewhat more; k by default.

    >>> TopK(1)(torch.tensor([[1.0, 3.0, -5.0]])).tolist()
    [[0.0, 3.0, 0.0]]
    """

    def __init__(self, k: int, k_eval: int | None = None) -> None:
        super().__init__()
        self.k, self.k_eval = k, k_eval or k

    def forward(self, h: Tensor) -> Tensor:
        top = h.topk(self.k if self.training else self.k_eval, dim=-1)
        return torch.zeros_like(h).scatter(-1, top.indices, top.values)


class BatchTopK(nn.Module):
    """An activation that keeps the k * B largest units of a batch; a threshold does so for one example.

    BatchTopK Sparse Autoencoders (Bussmann et al., 2024), https://arxiv.org/abs/2412.06410

    The threshold is a running mean of the smallest positive unit that was kept. ``views["dead"]`` is
    the code of the units that have not fired for ``patience`` examples, the ``k_dead`` largest of them.

    Args:
        project: features (B, F) to (B, Z).
        width: Z.
        k: units that stay, on average.
        k_dead: units of the dead that are shown.
        patience: examples without firing after which a unit is dead.
        rate: of the threshold's running mean.
    """

    threshold: Tensor
    idle: Tensor

    def __init__(
        self,
        project: nn.Module | None,
        width: int,
        k: int,
        k_dead: int = 512,
        patience: int = 10_000,
        rate: float = 0.01,
    ) -> None:
        super().__init__()
        check_k(k, width)
        self.project = project or nn.Identity()
        self.k, self.k_dead, self.patience, self.rate = k, min(k_dead, width), patience, rate
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("idle", torch.zeros(width))

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        units = self.project(h).relu()
        dead = self._largest_dead(units)
        if self.training:
            z = units * self._largest_of_batch(units)
            if torch.is_grad_enabled():
                self._move(z.detach())
        else:
            z = self._above(units)
        z, dead = (t.unsqueeze(0).expand(n_samples, *t.shape) for t in (z, dead))
        return Latent(z, views={"dead": dead})

    def embed(self, h: Tensor) -> Tensor:
        """Keeps the units above the threshold, (B, Z)."""
        return self._above(self.project(h).relu())

    def _above(self, units: Tensor) -> Tensor:
        return units * (units > self.threshold)

    def _largest_of_batch(self, units: Tensor) -> Tensor:
        """Finds which of this process's units are among the k * B largest of the whole batch."""
        whole = global_batch(units.detach())
        kept = torch.zeros_like(whole, dtype=torch.bool).flatten()
        kept[whole.flatten().topk(self.k * len(whole)).indices] = True
        kept = kept.view_as(whole)
        share = parallel.current_share()
        return kept if share is None else share.of(kept)

    def _largest_dead(self, units: Tensor) -> Tensor:
        asleep = units * (self.idle >= self.patience)
        top = asleep.topk(self.k_dead, dim=-1)
        return torch.zeros_like(units).scatter(-1, top.indices, top.values)

    @torch.no_grad()
    def _move(self, z: Tensor) -> None:
        """Updates the threshold and the idle counts by the whole batch."""
        whole = global_batch(z)
        fired = (whole > 0).any(0)
        self.idle.copy_(torch.where(fired, 0.0, self.idle + len(whole)))
        if bool(fired.any()):
            least = whole[whole > 0].min()
            first = self.threshold == 0
            self.threshold.copy_(torch.where(first, least, self.threshold.lerp(least, self.rate)))


class _Step(torch.autograd.Function):
    """The step function H(x - t) with a pseudo-derivative by t, a box of width e; none by x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, e: float) -> Tensor:
        ctx.save_for_backward(x, t)
        ctx.e = e
        return (x > t).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor, None]:
        x, t = ctx.saved_tensors
        box = ((x - t).abs() < ctx.e / 2).to(x.dtype)
        return None, (-box / ctx.e * slope).sum(0), None


class _Jump(torch.autograd.Function):
    """The function x H(x - t) with the pseudo-derivative of a box of width e by t."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, e: float) -> Tensor:
        ctx.save_for_backward(x, t)
        ctx.e = e
        return x * (x > t)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        x, t = ctx.saved_tensors
        box = ((x - t).abs() < ctx.e / 2).to(x.dtype)
        return (x > t) * slope, (-t / ctx.e * box * slope).sum(0), None


class JumpReLU(nn.Module):
    """An activation that is 0 up to a learned threshold of each unit and the identity above it.

    Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders (Rajamanoharan et
    al., 2024), https://arxiv.org/abs/2407.14435. The penalty ``l0`` counts the units that are on; its
    derivative by the thresholds is the paper's pseudo-derivative with a rectangular kernel.

    Args:
        project: features (B, F) to (B, Z).
        width: Z.
        threshold: every unit's first threshold, above 0.
        bandwidth: width of the kernel, above 0.
    """

    def __init__(
        self, project: nn.Module | None, width: int, threshold: float, bandwidth: float
    ) -> None:
        super().__init__()
        if not (threshold > 0 and bandwidth > 0):
            raise IncompatibleError(
                f"threshold and bandwidth must be above 0, got {threshold} and {bandwidth}"
            )
        self.project = project or nn.Identity()
        self.threshold, self.bandwidth = threshold, bandwidth
        self.log_threshold = nn.Parameter(torch.full((width,), math.log(threshold)))

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        units, threshold = self.project(h), self.log_threshold.exp()
        z: Tensor = _Jump.apply(units, threshold, self.bandwidth)  # type: ignore[no-untyped-call]
        on: Tensor = _Step.apply(units, threshold, self.bandwidth)  # type: ignore[no-untyped-call]
        l0 = on.sum(-1)
        return Latent(
            z.unsqueeze(0).expand(n_samples, *z.shape),
            penalties={"l0": l0.unsqueeze(0).expand(n_samples, *l0.shape)},
        )

    def revive(self, units: Tensor) -> None:
        """Puts the thresholds of these units back to where they started."""
        self.log_threshold[units] = math.log(self.threshold)

    def embed(self, h: Tensor) -> Tensor:
        """Keeps the units above their thresholds, (B, Z)."""
        units: Tensor = self.project(h)
        return units * (units > self.log_threshold.exp())


__all__ = ["BatchTopK", "JumpReLU", "TopK", "check_k"]
